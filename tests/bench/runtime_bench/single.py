"""One client, one server, two processes on loopback: equal answers, the slowest stage, the timeline.

Each round runs the slowest stage alone over all samples, and right after it the pair; the ratio of both times is the
throughput against the slowest stage. Where stages or others hold the cores, that stage's thread stands in a queue; the
kernel says for how long, and the ratio stands beside without it. So do how much of the pair's time that stage worked,
and what no overlap can beat where stages share few cores: the processor time that all threads of both processes took,
spread over all cores, as a share of the wall time.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plan_bench.rows import Cell, Row

from runtime_bench.pairs import Pair
from runtime_bench.processes import Served, served
from splitc.runtime import CloudHalf, EdgeHalf, InferenceResult, Sample
from splitc.runtime.client import EdgeClient, Remote

STAGES = ("edge", "encode", "decode", "cloud")
FLOOR = "CPU time on all cores / wall"
WITH_CORES = "the same, less waiting for a core"
NUMBERS = ("rate", "ratio", "ratio_with_cores", "busy")
RATIO, BUSY, WRONG = "throughput / slowest stage alone", "slowest stage busy", "wrong"


def rows(pairs: Sequence[Pair], rounds: int) -> Iterator[Row]:
    """One row a pair."""
    for pair in pairs:
        with served([pair.path], "--max-batch", "1") as server:
            yield Row("one client", pair.name, _cells(pair, server, rounds))


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """The worst pair."""
    return {
        "throughput_vs_slowest_stage": _least(rows, RATIO),
        "throughput_vs_slowest_stage_with_cores": _least(rows, WITH_CORES),
        "slowest_stage_busy": _least(rows, BUSY),
        "wrong_one": sum(int(row.cells[WRONG] or 0) for row in rows) if rows else None,
    }


def _least(rows: Sequence[Row], column: str) -> float | None:
    return min((float(row.cells[column] or 0) for row in rows), default=None)


def count_wrong(answers: Sequence[InferenceResult], pair: Pair) -> int:
    """Answers that are missing, out of order, or differ in a bit."""
    wrong = abs(len(answers) - len(pair.samples))
    for answer, sample, want in zip(answers, pair.samples, pair.expected, strict=False):
        same = all(np.array_equal(answer.outputs[name], want[name]) for name in want)
        wrong += not (same and answer.name == sample.name)
    return wrong


def _cells(pair: Pair, server: Served, rounds: int) -> dict[str, Cell]:
    client = EdgeClient(pair.bundle, Remote(server.address))
    works = stage_works(pair)
    stages = {name: _seconds(work) for name, work in works.items()}
    slowest = max(stages, key=lambda name: stages[name])
    answers = list(client.run(iter(pair.samples)))
    turns = [_turn(client, server, pair, works[slowest], slowest) for _ in range(rounds)]
    count, cpu_s = len(pair.samples), sum(_cpu_seconds(work) for work in works.values())
    medians = {name: statistics.median(getattr(turn, name) for turn in turns) for name in NUMBERS}
    spent_s = statistics.median(turn.cpu_s for turn in turns)
    return {
        "samples": count,
        WRONG: count_wrong(answers, pair),
        **{f"{name} alone ms": stages[name] / count * 1e3 for name in STAGES},
        "slowest": slowest,
        "answers/s": medians["rate"],
        RATIO: medians["ratio"],
        WITH_CORES: medians["ratio_with_cores"],
        BUSY: medians["busy"],
        "stages' CPU ms": cpu_s / count * 1e3,
        "pair's CPU ms": spent_s / count * 1e3,
        FLOOR: spent_s / (os.cpu_count() or 1) / statistics.median(turn.wall_s for turn in turns),
        "load": os.getloadavg()[0],
        "timeline / wall": timeline_share(client, pair.samples),
    }


@dataclass(frozen=True)
class Turn:
    """The slowest stage alone, and right after it the pair."""

    alone_s: float
    wall_s: float
    alone_queued_s: float
    queued_s: float
    busy: float
    cpu_s: float
    count: int

    @property
    def ratio(self) -> float:
        """Throughput of the pair beside that stage's."""
        return self.alone_s / self.wall_s

    @property
    def ratio_with_cores(self) -> float:
        """The same, without the time in which the stage's thread stood in the queue for a core."""
        return (self.alone_s - self.alone_queued_s) / (self.wall_s - self.queued_s)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.wall_s


def _turn(client: EdgeClient, server: Served, pair: Pair, work: Callable[[], object], slowest: str) -> Turn:
    before_s = _queued_s()
    alone_s, alone_queued_s = _seconds(work), _queued_s() - before_s
    cpu_s, begun, queued = time.process_time() + server.cpu_s, time.perf_counter(), list[float]()
    answers = list(client.run(_noting_queue(pair.samples, queued)))
    wall_s = time.perf_counter() - begun
    cpu_s = time.process_time() + server.cpu_s - cpu_s
    busy = sum(answer.ms[slowest] for answer in answers) / 1e3 / wall_s
    queued_s = queued[-1] - queued[0] if slowest == "edge" else 0.0
    return Turn(alone_s, wall_s, alone_queued_s, queued_s, busy, cpu_s, len(answers))


def _noting_queue(samples: Sequence[Sample], queued: list[float]) -> Iterator[Sample]:
    """The samples, for the head's thread, which notes its time in the queue for a core before and after."""
    queued.append(_queued_s())
    yield from samples
    queued.append(_queued_s())


def _queued_s() -> float:
    """How long this thread has waited for a core so far, by the kernel's account."""
    return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e9


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


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
