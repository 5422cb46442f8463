"""Zeros in place of weights: what the answers keep with and without making up for them, on other pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codec_bench.fidelity import fidelity
from codec_bench.networks import BATCH, Network

from splitc import graph, passes
from splitc.types import Feeds
from weights_bench.int8 import answers
from weights_bench.rates import pictures

RUNS, RUNS_MADE_UP = "2:4, largest", "2:4, compensated"
HALF, HALF_MADE_UP = "50 %, largest of each layer", "50 %, compensated"


@dataclass(frozen=True)
class SparseRow:
    """A pattern of zeros and how it was made; ``zeros`` is their share of all weights of layers."""

    network: str
    pattern: str
    pictures: int
    zeros: float
    agreement: float
    kl: float
    seconds: float
    section: str = "sparse"


def rows(network: Network, path: Path, calibration: int, evaluation: int) -> Iterator[SparseRow]:
    """Two patterns, plain and compensated; ``calibration`` pictures are not among those that are measured."""
    inputs = pictures(network, calibration + evaluation)
    model = passes.prepare(graph.load(path).ir_model, in_graph=True).model
    name = model.graph.inputs[0].name or ""
    feeds: list[Feeds] = [{name: inputs[i : min(i + BATCH, calibration)]} for i in range(0, calibration, BATCH)]
    held = inputs[calibration:]
    reference = answers(graph.to_bytes(model), held)
    ways: dict[str, passes.Pass] = {
        RUNS: passes.SparseRuns(),
        RUNS_MADE_UP: passes.SparseRuns(feeds),
        HALF: passes.PruneWeights(0.5, 0.5),
        HALF_MADE_UP: passes.PruneWeights(0.5, 0.5, "compensated", feeds),
    }
    for pattern, prune in ways.items():
        start = time.perf_counter()
        changed = prune(model).model
        seconds = time.perf_counter() - start
        zeros, size = passes.count_zeros(changed)
        got = fidelity(reference, answers(graph.to_bytes(changed), held))
        yield SparseRow(network.name, pattern, len(held), zeros / size, got.agreement, got.kl, seconds)
