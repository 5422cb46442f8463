"""Weights <-> bytes, and what makes them fewer: prune, share, round, pack, update. Arrays only, no graphs."""

from __future__ import annotations

from splitc.weights.choose import smallest_items
from splitc.weights.container import Container, Item, container_bytes, lossless_items, open_container
from splitc.weights.delta import Applied, apply_delta, delta_bytes, merged, roll_back, write_whole
from splitc.weights.encodings.levels import Levels
from splitc.weights.encodings.planes import Planes
from splitc.weights.encodings.raw import Raw
from splitc.weights.encodings.shared import Shared
from splitc.weights.tensor import TYPES, WeightTensor

__all__ = [
    "TYPES",
    "Applied",
    "Container",
    "Item",
    "Levels",
    "Planes",
    "Raw",
    "Shared",
    "WeightTensor",
    "apply_delta",
    "container_bytes",
    "delta_bytes",
    "lossless_items",
    "merged",
    "open_container",
    "roll_back",
    "smallest_items",
    "write_whole",
]
