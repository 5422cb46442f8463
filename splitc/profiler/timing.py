"""Time one model here: warm-up, then samples; then its layers with ONNX Runtime's own profiler; watts all the while.

Whole runs come first, without instruments, because timing every layer takes time itself. Energy is the module's mean
power while samples ran, idle power included, times the mean latency.
"""

from __future__ import annotations

import json
import resource
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import onnxruntime as ort

from splitc.backends import BACKENDS, Runner, node_outputs
from splitc.errors import BackendError, UsageError
from splitc.profile import Layer, Percentiles, Record
from splitc.profiler.board import ROOT, Board, read_board
from splitc.profiler.power import Power, mean_total_w, power_notes, read_power
from splitc.types import Feeds

BACKEND = "onnxruntime"
POWER_INTERVAL_S = 0.02
_KERNEL = "_kernel_time"
_FATAL_ONLY = 4


@dataclass(frozen=True)
class Half:
    """What is measured.

    Attributes:
        path: The ONNX model.
        model_sha256: Of the model's files, as the bundle or the graph room names it.
        side: Which half of a pair; ``whole`` is none.
        precision: What it computes in.
    """

    path: Path
    model_sha256: str
    side: Literal["whole", "edge", "cloud"] = "whole"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"


@dataclass(frozen=True)
class Runs:
    """How much is measured; each number is of inferences."""

    threads: int = 1
    warmup: int = 10
    samples: int = 100

    def __post_init__(self) -> None:
        if self.threads < 1 or self.warmup < 0 or self.samples < 1:
            raise UsageError("a measurement needs at least 1 thread, 0 inferences of warm-up and 1 sample.")


@dataclass(frozen=True)
class Opened:
    """What runs, and what it is: a backend's name and version."""

    runner: Runner
    backend: str
    version: str


@dataclass(frozen=True)
class Measurement:
    """The record, and every sample's latency in milliseconds, which the record sums up."""

    record: Record
    times_ms: Sequence[float] = field(repr=False)


def measure(
    half: Half,
    feeds: Sequence[Feeds],
    runs: Runs,
    device: str = "cpu",
    *,
    root: Path = ROOT,
    step: Callable[[], None] = lambda: None,
    engine: Opened | None = None,
) -> Measurement:
    """Time ``half`` on this machine: on ONNX Runtime's CPU provider, or as the engine that is given.

    Args:
        half: What.
        feeds: Inputs to take turns with, at least one.
        runs: Threads and numbers of runs.
        device: Name of the device profile that the record is of.
        root: Root of the file system that board and power are read under.
        step: Called after each inference.
        engine: What runs in place of ONNX Runtime; its layers are not timed here.

    Raises:
        BackendError: The model or the feeds are refused.
    """
    board = read_board(root)
    here = engine or _onnxruntime(half, runs)
    with _watching(board, root) as watts:
        times = _whole(here.runner, feeds, runs, step, watts)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # before the layers, whose trace is ours to hold
    layers = () if engine else _layers(half, feeds, runs)
    power_w, settled = mean_total_w(watts), read_board(root)
    record = Record(
        device=device,
        backend=here.backend,
        backend_version=here.version,
        model_sha256=half.model_sha256,
        side=half.side,
        precision=half.precision,
        threads=None if engine else runs.threads,
        warmup=runs.warmup,
        samples=runs.samples,
        latency_ms=Percentiles.of(times),
        layers=layers,
        peak_memory_mb=peak_kb / 1024,
        power_w=power_w,
        energy_mj=None if power_w is None else power_w * statistics.fmean(times),
        environment=settled.environment() | power_notes(watts),
    )
    return Measurement(record, times)


def _onnxruntime(half: Half, runs: Runs) -> Opened:
    runner = BACKENDS.make(BACKEND, {"provider": "cpu"}).open(half.path, threads=runs.threads)
    return Opened(runner, BACKEND, ort.__version__)


def _whole(
    runner: Runner, feeds: Sequence[Feeds], runs: Runs, step: Callable[[], None], watts: list[Power]
) -> list[float]:
    times = []
    try:
        for index in range(runs.warmup + runs.samples):
            if index == runs.warmup:
                watts.clear()
            start = time.perf_counter_ns()
            runner.run(feeds[index % len(feeds)])
            times.append((time.perf_counter_ns() - start) / 1e6)
            step()
    finally:
        runner.close()
    return times[runs.warmup :]


@contextmanager
def _watching(board: Board, root: Path) -> Iterator[list[Power]]:
    """Samples of power while the block runs; at least one, even for a short block."""
    samples: list[Power] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POWER_INTERVAL_S):
            samples.append(read_power(board.chip, root / "sys"))

    thread = threading.Thread(target=watch, daemon=True)
    if read_power(board.chip, root / "sys").rails_w:
        thread.start()
    try:
        yield samples
        if thread.ident is not None and not samples:
            samples.append(read_power(board.chip, root / "sys"))
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()


def _layers(half: Half, feeds: Sequence[Feeds], runs: Runs) -> tuple[Layer, ...]:
    """Medians over the samples, in the order of execution."""
    with TemporaryDirectory() as folder:
        events = _events(half.path, feeds, runs, Path(folder))
    made = node_outputs(half.path)
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        key = event["name"].removesuffix(_KERNEL), event.get("args", {}).get("op_name", "")
        durations[key].append(event["dur"] / 1e3)
    return tuple(
        Layer(
            name=name or "?",
            operator=kind,
            median_ms=statistics.median(_sums(times, runs)),
            mean_ms=statistics.fmean(_sums(times, runs)),
            values=_values(name, made),
        )
        for (name, kind), times in durations.items()
    )


def _sums(times: Sequence[float], runs: Runs) -> list[float]:
    """Of each run after the warm-up: a node without a name shares its key with others, and their sum counts."""
    each = max(1, len(times) // (runs.warmup + runs.samples))
    sums = [sum(times[start : start + each]) for start in range(0, len(times), each)]
    return sums[runs.warmup :] or sums


def _values(name: str, made: Mapping[str, str]) -> tuple[str, ...]:
    """The value behind a layer: optimizers keep a node's name or its output's, add to it, or write "fused " before."""
    name = name.removeprefix("fused ")
    for end in range(len(name), 0, -1):
        if name[:end] in made:
            return (made[name[:end]],)
    return ()


def _events(path: Path, feeds: Sequence[Feeds], runs: Runs, folder: Path) -> list[dict[str, Any]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = runs.threads, 1
    options.log_severity_level = _FATAL_ONLY
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "trace")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for index in range(runs.warmup + runs.samples):
            session.run(None, dict(feeds[index % len(feeds)]))
        trace = session.end_profiling()
    except Exception as error:  # ORT's exceptions share no base but Exception
        raise BackendError(f"{path.name}: onnxruntime failed while profiling: {error}") from error
    events: list[dict[str, Any]] = json.loads(Path(trace).read_text("utf-8"))
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith(_KERNEL)]
