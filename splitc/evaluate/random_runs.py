"""Run model files on random inputs and compare their answers bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from splitc import graph, passes
from splitc.backends import BACKENDS, Runner
from splitc.errors import BackendError, CheckFailed
from splitc.evaluate.paths import open_graph
from splitc.runtime import RUNNER
from splitc.types import Array, Feeds, TensorSpec

DYNAMIC_DIM = 2
"""What a dynamic dimension is when graphs must run to be compared."""


def random_feeds(inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Normal numbers for floats, zeros and ones for the rest; the same for the same inputs."""
    return {spec.name: _numbers(spec, seed) for seed, spec in enumerate(inputs)}


def both_ways(inputs: Sequence[TensorSpec]) -> list[dict[str, Array]]:
    """Random feeds; where there are bool inputs, also with all of them false, and all true: both branches of an If."""
    feeds = random_feeds(inputs)
    flags = [spec.name for spec in inputs if spec.dtype == "bool"]
    if not flags:
        return [feeds]
    return [feeds, *({**feeds, **{name: np.full_like(feeds[name], one) for name in flags}} for one in (False, True))]


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


def _numbers(spec: TensorSpec, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    shape = [DYNAMIC_DIM if isinstance(dim, str) else dim for dim in spec.shape]
    is_float = spec.dtype.startswith(("float", "bfloat"))
    values = rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)
    return np.asarray(values).astype(spec.dtype)
