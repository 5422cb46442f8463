"""Lowered halves as bytes, so that a cache can keep them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import BinaryIO

import numpy as np

from splitc import graph
from splitc.cache import CachedStep, Parts, arrays_from_file, parts_of_arrays
from splitc.lowering.lower import Lowered
from splitc.lowering.mixed_precision import LayerPrecision
from splitc.lowering.weight_steps import Saving

VERSION = 6


def lowered_step(halves: graph.Halves) -> CachedStep[Lowered]:
    """The step that lowers ``halves``: both graphs with their weights, and what was said of them."""
    return CachedStep("lowered", VERSION, _packed, lambda file: _unpacked(file, halves))


def _packed(lowered: Lowered) -> Parts:
    said = {
        "notes": lowered.notes,
        "savings": [asdict(one) for one in lowered.savings],
        "layers": [asdict(one) for one in lowered.layers],
    }
    graphs = (graph.to_bytes(model) for model in (lowered.halves.head, lowered.halves.tail))
    return parts_of_arrays([np.frombuffer(part, np.uint8) for part in (json.dumps(said).encode(), *graphs)])


def _unpacked(file: BinaryIO, halves: graph.Halves) -> Lowered:
    said, head, tail = (part.tobytes() for part in arrays_from_file(file))
    table = json.loads(said)
    return Lowered(
        replace(halves, head=graph.from_bytes(head), tail=graph.from_bytes(tail)),
        tuple(table["notes"]),
        tuple(Saving(**one) for one in table["savings"]),
        tuple(LayerPrecision(**one) for one in table["layers"]),
    )
