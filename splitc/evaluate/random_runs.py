"""Run model files on random inputs and compare their answers bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from splitc import graph, passes
from splitc.backends import BACKENDS, Runner
from splitc.errors import BackendError, CheckFailed, UsageError
from splitc.evaluate.paths import open_graph
from splitc.runtime import RUNNER
from splitc.types import Array, Feeds, TensorSpec

SIZES = ((2, 2), (1, 2), (1, 1), (1, 64), (1, 224))
"""What the samples' dimension and every other dynamic one are when graphs must run to be compared; the first that run.

Exporters bake in a batch of 1, and pictures must outlast every stride.
"""
Run: TypeAlias = Callable[[Path, Sequence[Feeds]], list[dict[str, Array]]]


def random_answers(path: Path, inputs: Sequence[TensorSpec], run: Run) -> tuple[list[Feeds], list[dict[str, Array]]]:
    """Random inputs that a model runs on, and its answers; with bool inputs also all false, and all true.

    Raises:
        UsageError: It runs on none of the sizes that are tried.
    """
    fault: CheckFailed | None = None
    for feeds in _of_each_size(inputs):
        try:
            return feeds, run(path, feeds)
        except CheckFailed as error:
            fault = fault or error
    hint = "" if not _dynamic(inputs) else " Give sizes that fit, --shape NAME:1x3x224x224."
    raise UsageError(f"{fault}{hint}") from fault


def random_feeds(inputs: Sequence[TensorSpec], sizes: tuple[int, int] = SIZES[0]) -> dict[str, Array]:
    """Normal numbers for floats, zeros and ones for the rest; the same for the same inputs.

    Args:
        inputs: Of the model.
        sizes: Of dynamic dimensions that are the samples' of some input, and of every other.
    """
    return {spec.name: _numbers(spec, _sized(spec, inputs, sizes), seed) for seed, spec in enumerate(inputs)}


def both_ways(inputs: Sequence[TensorSpec], sizes: tuple[int, int] = SIZES[0]) -> list[Feeds]:
    """Random feeds; where there are bool inputs, also with all of them false, and all true: both branches of an If."""
    feeds = random_feeds(inputs, sizes)
    flags = [spec.name for spec in inputs if spec.dtype == "bool"]
    if not flags:
        return [feeds]
    return [feeds, *({**feeds, **{name: np.full_like(feeds[name], one) for name in flags}} for one in (False, True))]


def _of_each_size(inputs: Sequence[TensorSpec]) -> Iterator[list[Feeds]]:
    """Feeds of each of ``SIZES``, where they differ."""
    seen = set()
    for sizes in SIZES:
        shapes = tuple(_sized(spec, inputs, sizes) for spec in inputs)
        if shapes not in seen:
            seen.add(shapes)
            yield both_ways(inputs, sizes)


def _sized(spec: TensorSpec, inputs: Sequence[TensorSpec], sizes: tuple[int, int]) -> tuple[int, ...]:
    batches = {one.shape[0] for one in inputs if one.shape}
    return tuple(dim if isinstance(dim, int) else sizes[0] if dim in batches else sizes[1] for dim in spec.shape)


def _dynamic(inputs: Sequence[TensorSpec]) -> bool:
    return any(isinstance(dim, str) for spec in inputs for dim in spec.shape)


def run_file(path: Path, feeds: Feeds) -> dict[str, Array]:
    """Answers of ONNX Runtime on a CPU, node by node.

    Raises:
        CheckFailed: It cannot run the model on these inputs.
    """
    return run_each(path, [feeds])[0]


def run_each(path: Path, feeds: Sequence[Feeds]) -> list[dict[str, Array]]:
    """``run_file`` for several inputs; the model is loaded once. Float16 is rounded after every operator."""
    return _answers(lambda: _node_by_node(path), feeds)


def run_optimized(path: Path, feeds: Sequence[Feeds]) -> list[dict[str, Array]]:
    """The same as ONNX Runtime computes a model by default: rewritten, and float16 in float32 on a CPU."""
    return _answers(lambda: BACKENDS.make(RUNNER, {}).open(path), feeds)


def _node_by_node(path: Path) -> Runner:
    model = graph.load(path).ir_model
    if passes.computes_in_float16(model):
        return open_graph(model)
    return BACKENDS.make(RUNNER, {}).open(path, optimize=False)


def _answers(open_runner: Callable[[], Runner], feeds: Sequence[Feeds]) -> list[dict[str, Array]]:
    try:
        runner = open_runner()
        answers = [runner.run(one) for one in feeds]
    except BackendError as error:
        raise CheckFailed(f"the model cannot be run on random inputs to compare it: {error}") from error
    runner.close()
    return answers


def distance(one: Array, other: Array | None) -> float:
    """Largest difference: 0 when equal bit for bit, infinite when there is one that numbers do not show."""
    if other is None or one.dtype != other.dtype or one.shape != other.shape:
        return float("inf")
    if one.tobytes() == other.tobytes():
        return 0.0
    if one.dtype.kind not in "fiub":
        return float("inf")
    gap = float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64))))
    return gap if gap > 0 else float("inf")


def _numbers(spec: TensorSpec, shape: tuple[int, ...], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    is_float = spec.dtype.startswith(("float", "bfloat"))
    values = rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)
    return np.asarray(values).astype(spec.dtype)
