"""Weights to bytes and back, and what makes them fewer: prune, share, round, pack, update. Arrays only, no graphs."""

from __future__ import annotations

from splitc.weights.choose import smallest_items
from splitc.weights.compensate import factor_of, keep_n_of_m, keep_share, pruned, rounded, shrunk
from splitc.weights.container import Container, Item, container_bytes, lossless_items, open_container
from splitc.weights.delta import Applied, apply_delta, delta_bytes, merged, refuse_deltas, roll_back
from splitc.weights.encodings.levels import Levels
from splitc.weights.encodings.planes import Planes
from splitc.weights.encodings.raw import Raw
from splitc.weights.encodings.shared import Shared
from splitc.weights.prune import keep_largest, keep_largest_of_all, keep_largest_of_runs
from splitc.weights.share import Init, share, share_rate
from splitc.weights.tensor import TYPES, WeightTensor

__all__ = [
    "TYPES",
    "Applied",
    "Container",
    "Init",
    "Item",
    "Levels",
    "Planes",
    "Raw",
    "Shared",
    "WeightTensor",
    "apply_delta",
    "container_bytes",
    "delta_bytes",
    "factor_of",
    "keep_largest",
    "keep_largest_of_all",
    "keep_largest_of_runs",
    "keep_n_of_m",
    "keep_share",
    "lossless_items",
    "merged",
    "open_container",
    "pruned",
    "refuse_deltas",
    "roll_back",
    "rounded",
    "share",
    "share_rate",
    "shrunk",
    "smallest_items",
]
