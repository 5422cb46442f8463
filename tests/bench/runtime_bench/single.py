"""One client, one server, two processes on loopback: equal answers, the slowest stage, the timeline.

``busy`` is the throughput beside the slowest stage's under the same concurrency: the share of the run's wall time in
which that stage worked, so 1 means that nothing but itself held it up. The summary has it. Beside it the same stage
alone, over all samples before each run, medians: where all cores are taken (``load``), that tells who got them.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from plan_bench.rows import Cell, Row

from runtime_bench.pairs import Pair
from runtime_bench.processes import served
from splitc.runtime import Answer, CloudHalf, EdgeHalf, Sample
from splitc.runtime.client import EdgeClient, Remote

STAGES = ("edge", "encode", "decode", "cloud")
RATIO, BUSY, WRONG = "throughput / slowest stage alone", "slowest stage busy", "wrong"


def rows(pairs: Sequence[Pair], rounds: int) -> Iterator[Row]:
    """One row a pair."""
    for pair in pairs:
        with served([pair.path], "--max-batch", "1") as server:
            yield Row("one client", pair.name, _cells(pair, server.address, rounds))


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """The worst pair."""
    return {
        "throughput_vs_slowest_stage": _least(rows, BUSY),
        "throughput_vs_slowest_stage_alone": _least(rows, RATIO),
        "wrong_one": sum(int(row.cells[WRONG] or 0) for row in rows) if rows else None,
    }


def _least(rows: Sequence[Row], column: str) -> float | None:
    return min((float(row.cells[column] or 0) for row in rows), default=None)


def count_wrong(answers: Sequence[Answer], pair: Pair) -> int:
    """Answers that are missing, out of order, or differ in a bit."""
    wrong = abs(len(answers) - len(pair.samples))
    for answer, sample, want in zip(answers, pair.samples, pair.expected, strict=False):
        same = all(np.array_equal(answer.outputs[name], want[name]) for name in want)
        wrong += not (same and answer.name == sample.name)
    return wrong


def _cells(pair: Pair, address: str, rounds: int) -> dict[str, Cell]:
    client = EdgeClient(pair.bundle, Remote(address))
    stages = {name: _seconds(work) for name, work in stage_works(pair).items()}
    slowest = max(stages, key=lambda name: stages[name])
    found, busy, wrong, rates = [], [], 0, []
    for _ in range(rounds):
        alone = _seconds(stage_works(pair)[slowest])
        begun = time.perf_counter()
        answers = list(client.run(iter(pair.samples)))
        wall = time.perf_counter() - begun
        wrong += count_wrong(answers, pair)
        found.append(alone / wall)
        rates.append(len(answers) / wall)
        busy.append(sum(answer.ms[slowest] for answer in answers) / 1e3 / wall)
    count = len(pair.samples)
    return {
        "samples": count,
        WRONG: wrong,
        **{f"{name} alone ms": stages[name] / count * 1e3 for name in STAGES},
        "slowest": slowest,
        "answers/s": statistics.median(rates),
        RATIO: statistics.median(found),
        BUSY: statistics.median(busy),
        "load": os.getloadavg()[0],
        "timeline / wall": timeline_share(client, pair.samples),
    }


def timeline_share(client: EdgeClient, samples: Sequence[Sample]) -> float:
    """Sum of all stages over the wall time by the caller's clock, one sample after the other."""
    gate, handed = threading.Semaphore(1), []

    def one_by_one() -> Iterator[Sample]:
        for sample in samples:
            gate.acquire()
            handed.append(time.perf_counter())
            yield sample

    walls, stages = [], []
    for answer in client.run(one_by_one()):
        walls.append(time.perf_counter() - handed[-1])
        stages.append(sum(value for name, value in answer.ms.items() if name != "total"))
        gate.release()
    return sum(stages) / 1e3 / sum(walls)


def stage_works(pair: Pair) -> dict[str, Callable[[], object]]:
    """Each stage over all samples, with nothing beside it; what it needs is made before."""
    edge, cloud = EdgeHalf(pair.bundle), CloudHalf(pair.bundle)
    wires = [edge.head(sample.feeds) for sample in pair.samples]
    packets = [edge.encode(edge.quantize(wire)) for wire in wires]
    feeds = [cloud.feeds(cloud.decode(packet)) for packet in packets]
    again = EdgeHalf(pair.bundle), CloudHalf(pair.bundle)
    return {
        "edge": lambda: [again[0].head(sample.feeds) for sample in pair.samples],
        "encode": lambda: [again[0].encode(again[0].quantize(wire)) for wire in wires],
        "decode": lambda: [again[1].feeds(again[1].decode(packet)) for packet in packets],
        "cloud": lambda: [again[1].runner.run(feed) for feed in feeds],
    }


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
