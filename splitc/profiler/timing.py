"""Time one model here: warm-up, then samples; then its layers with ONNX Runtime's own profiler; power throughout.

Whole runs come first and uninstrumented, because timing every layer takes time itself. Energy is the module's mean
power while samples ran, idle power included, times the mean latency.
"""

from __future__ import annotations

import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnxruntime as ort

from splitc.backends import BACKENDS, Runner, TimedRunner, harmful_passes, node_outputs, read_interface
from splitc.errors import BackendError, UsageError
from splitc.files import temporary_folder
from splitc.profiler.board import ROOT, Board, read_board
from splitc.profiler.power import Power, mean_total_w, power_notes, read_power
from splitc.records import LayerTiming, Percentiles, Record, joined_values, layers_from_trace, timed_layer
from splitc.types import Feeds

BACKEND = "onnxruntime"
POWER_INTERVAL_S = 0.02
_FATAL_ONLY = 4


@dataclass(frozen=True)
class ProfiledModel:
    """What is measured.

    Attributes:
        path: The ONNX model.
        model_sha256: Hash of the model's files, as :func:`splitc.profiler.model_sha256` computes it.
        side: Half of a pair, or ``whole`` for an unsplit model.
        precision: Element type of its arithmetic.
    """

    path: Path
    model_sha256: str
    side: Literal["whole", "edge", "cloud"] = "whole"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"


@dataclass(frozen=True)
class Runs:
    """How much is measured: threads of an inference, and numbers of inferences."""

    threads: int = 1
    warmup: int = 10
    samples: int = 100

    def __post_init__(self) -> None:
        if self.threads < 1 or self.warmup < 0 or self.samples < 1:
            raise UsageError("a measurement needs at least 1 thread, 0 inferences of warm-up and 1 sample.")


@dataclass(frozen=True)
class Inside:
    """What separate, instrumented runs show: times of layers, and of the device where the toolkit tells it apart."""

    layers: tuple[LayerTiming, ...] = ()
    device_ms: Percentiles | None = None


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be measured.

    Attributes:
        runner: Runs it; closed by :func:`measure`.
        backend, version: The toolkit.
        look: Runs it again, instrumented.
        threads: CPU threads; None where another processor computes.
    """

    runner: Runner
    backend: str
    version: str
    look: Callable[[Sequence[Feeds], Runs], Inside]
    threads: int | None = None


@dataclass(frozen=True)
class TimedRecord:
    """The record, and every sample's latency in milliseconds, which the record sums up."""

    record: Record
    times_ms: Sequence[float] = field(repr=False)


def measure(
    half: ProfiledModel,
    feeds: Sequence[Feeds],
    runs: Runs,
    device: str = "cpu",
    *,
    root: Path = ROOT,
    step: Callable[[], None] = lambda: None,
    engine: Opened | None = None,
) -> TimedRecord:
    """Time ``half`` on this machine, with ONNX Runtime's CPU provider or with the engine that is given.

    Args:
        half: The model.
        feeds: Inputs, used in turn; at least one.
        runs: Threads and numbers of runs.
        device: Name of the device profile that the record is of.
        root: Root of the file system under which board and power are read.
        step: Called after each inference.
        engine: Measured in place of ONNX Runtime.

    Raises:
        BackendError: The model or the feeds are refused.
    """
    board, opened = read_board(root), engine or _onnxruntime(half, runs)
    with closing(opened.runner):
        with _watching(board, root) as watts:
            times = _whole(opened.runner, feeds, runs, step, watts)
        peak_kb = resource.getrusage(
            resource.RUSAGE_SELF
        ).ru_maxrss  # before layers are timed: their trace takes memory of its own
        settled = read_board(root)
        inside = opened.look(feeds, runs)
    seen = _Seen(times, watts, peak_kb / 1024, settled, inside)
    return TimedRecord(_record(half, runs, device, opened, seen), times)


@dataclass(frozen=True)
class _Seen:
    """Raw results of one measurement."""

    times_ms: Sequence[float]
    watts: Sequence[Power]
    peak_memory_mb: float
    board: Board
    inside: Inside


def _record(half: ProfiledModel, runs: Runs, device: str, opened: Opened, seen: _Seen) -> Record:
    power_w = mean_total_w(seen.watts)
    return Record(
        device=device,
        backend=opened.backend,
        backend_version=opened.version,
        model_sha256=half.model_sha256,
        side=half.side,
        precision=half.precision,
        threads=opened.threads,
        warmup=runs.warmup,
        samples=runs.samples,
        latency_ms=Percentiles.of(seen.times_ms),
        layers=seen.inside.layers,
        device_ms=seen.inside.device_ms,
        peak_memory_mb=seen.peak_memory_mb,
        power_w=power_w,
        energy_mj=None if power_w is None else power_w * statistics.fmean(seen.times_ms),
        environment=seen.board.environment() | power_notes(seen.watts),
    )


def engine_half(runner: TimedRunner, backend: str, version: str, half: ProfiledModel) -> Opened:
    """An engine that was built from the half, ready to be measured."""

    def look(feeds: Sequence[Feeds], runs: Runs) -> Inside:
        turns = [feeds[index % len(feeds)] for index in range(runs.warmup + runs.samples)]
        device_ms = [runner.device_ms(one) for one in turns][runs.warmup :]
        seen = [runner.layer_ms(one) for one in turns][runs.warmup :]
        made = node_outputs(half.path)
        names = dict.fromkeys(name for one in seen for name in one)
        layers = [
            timed_layer(name, "", [one.get(name, 0.0) for one in seen], joined_values(name, made)) for name in names
        ]
        return Inside(tuple(layers), Percentiles.of(device_ms))

    return Opened(runner, backend, version, look)


def _onnxruntime(half: ProfiledModel, runs: Runs) -> Opened:
    runner = BACKENDS.make(BACKEND, {"provider": "cpu"}).open(half.path, threads=runs.threads)
    return Opened(
        runner, BACKEND, ort.__version__, lambda feeds, runs: Inside(_layers(half, feeds, runs)), runs.threads
    )


def _whole(
    runner: Runner, feeds: Sequence[Feeds], runs: Runs, step: Callable[[], None], watts: list[Power]
) -> list[float]:
    times = []
    for index in range(runs.warmup + runs.samples):
        if index == runs.warmup:
            watts.clear()
        start = time.perf_counter_ns()
        runner.run(feeds[index % len(feeds)])
        times.append((time.perf_counter_ns() - start) / 1e6)
        step()
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


def _layers(half: ProfiledModel, feeds: Sequence[Feeds], runs: Runs) -> tuple[LayerTiming, ...]:
    """Times of layers over as many runs, from ONNX Runtime's own profiler."""
    with temporary_folder("trace") as folder:
        trace = _traced(half.path, feeds, runs, folder)
        return layers_from_trace(trace, node_outputs(half.path), runs.warmup, runs.samples)


def _traced(path: Path, feeds: Sequence[Feeds], runs: Runs, folder: Path) -> Path:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = runs.threads, 1
    options.log_severity_level = _FATAL_ONLY
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "trace")
    try:
        harmful = harmful_passes(read_interface(path))
        session = ort.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=harmful
        )
        for index in range(runs.warmup + runs.samples):
            session.run(None, dict(feeds[index % len(feeds)]))
        return Path(session.end_profiling())
    except Exception as error:  # ORT's exceptions share no base but Exception
        raise BackendError(f"{path.name}: onnxruntime failed while profiling: {error}") from error
