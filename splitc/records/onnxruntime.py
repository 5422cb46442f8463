"""Profile a model on ONNX Runtime's CPU provider: whole runs without instruments, then layers with them.

Each node is first given the name of its first output, so that a layer of the optimized graph, which keeps a node's name
or adds to it, can be traced back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnxruntime as ort

from splitc import graph
from splitc.backends import harmful_passes, read_interface
from splitc.errors import BackendError, UsageError
from splitc.files import temporary_folder
from splitc.records.layers import layers_from_trace
from splitc.records.record import Percentiles, Record
from splitc.types import Feeds

_ERRORS_ONLY = 3
CLOCKS: Mapping[str, Callable[[], int]] = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}


@dataclass(frozen=True)
class Effort:
    """How a profile is taken.

    Attributes:
        threads: Of one inference.
        warmup, samples: Untimed and timed inferences.
        clock: "wall", or "cpu" for this thread's CPU time, on a machine under other load; one thread only.
    """

    threads: int = 1
    warmup: int = 5
    samples: int = 30
    clock: Literal["wall", "cpu"] = "wall"


def profile_onnxruntime(
    path: Path, feeds: Sequence[Feeds], effort: Effort | None = None, step: Callable[[], None] = lambda: None
) -> Record:
    """Time a model here.

    Args:
        path: The ONNX model.
        feeds: Inputs, used in turn; at least one.
        effort: Threads and numbers of runs.
        step: Called after each run.

    Raises:
        GraphError: The model cannot be read.
        BackendError: ONNX Runtime refuses the model or the feeds.
        UsageError: CPU time of several threads is asked for.
    """
    effort = effort or Effort()
    if effort.clock == "cpu" and effort.threads > 1:
        raise UsageError(f"CPU time is that of one thread, and {effort.threads} are asked for; use the wall clock.")
    model = graph.load(path)
    with temporary_folder("trace") as folder:
        named = _save_named(model, folder)
        times = _whole(named, feeds, effort, step)
        trace = _traced(named, feeds, effort, folder, step)
        made = {value: value for value in model.flow.values}
        layers = layers_from_trace(trace, made, effort.warmup, effort.samples)
    return Record(
        device="cpu",
        backend="onnxruntime",
        backend_version=ort.__version__,
        model_sha256=model.sha256,
        side="whole",
        threads=effort.threads,
        warmup=effort.warmup,
        samples=effort.samples,
        latency_ms=Percentiles.of(times),
        layers=layers,
        environment={"clock": effort.clock},
    )


def session(path: Path, threads: int, **options: Any) -> ort.InferenceSession:
    """A session as engines run: nodes in sequence, all optimizations on.

    Raises:
        BackendError: ONNX Runtime refuses the model.
    """
    wanted = ort.SessionOptions()
    wanted.intra_op_num_threads, wanted.inter_op_num_threads = threads, 1
    wanted.log_severity_level = _ERRORS_ONLY
    for name, value in options.items():
        setattr(wanted, name, value)
    try:
        harmful = harmful_passes(read_interface(path))
        return ort.InferenceSession(str(path), wanted, providers=["CPUExecutionProvider"], disabled_optimizers=harmful)
    except Exception as error:  # ORT's exceptions share no base but Exception
        raise BackendError(f"{path.name}: onnxruntime refuses the model: {error}") from error


def _save_named(model: graph.Model, folder: Path) -> Path:
    for node in model.flow.nodes:
        node.name = node.outputs[0].name
    path = folder / "named.onnx"
    graph.save(model.ir_model, path)
    return path


def _whole(path: Path, feeds: Sequence[Feeds], effort: Effort, step: Callable[[], None]) -> list[float]:
    run, now_ns = _runner(session(path, effort.threads)), CLOCKS[effort.clock]
    times = []
    for index in range(effort.warmup + effort.samples):
        start = now_ns()
        run(feeds[index % len(feeds)])
        times.append((now_ns() - start) / 1e6)
        step()
    return times[effort.warmup :]


def _traced(path: Path, feeds: Sequence[Feeds], effort: Effort, folder: Path, step: Callable[[], None]) -> Path:
    """ONNX Runtime's own profile of as many runs."""
    opened = session(path, effort.threads, enable_profiling=True, profile_file_prefix=str(folder / "trace"))
    run = _runner(opened)
    for index in range(effort.warmup + effort.samples):
        run(feeds[index % len(feeds)])
        step()
    return Path(opened.end_profiling())


def _runner(opened: ort.InferenceSession) -> Callable[[Feeds], object]:
    def run(feeds: Feeds) -> object:
        try:
            return opened.run(None, dict(feeds))
        except Exception as error:  # ORT's exceptions share no base but Exception
            raise BackendError(f"onnxruntime failed while running: {error}") from error

    return run
