"""The test graphs of ONNX and the shared models: every cut splits, runs and merges bit for bit, or is refused truly.

A refusal is checked against the raw protobuf by a walk that shares no code with splitc (``why_not``).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from graph_halves import DATA, random_prefix_cut
from onnx import numpy_helper
from refusal_oracle import Oracle

from splitc import graph
from splitc.errors import CutError, GraphError
from splitc.graph import Model

ONNX_DATA = Path(onnx.__file__).parent / "backend/test/data"
DEBIAN_DATA = Path(os.environ.get("ONNX_TESTDATA", "/usr/share/libonnx-testdata/data"))
FOLDERS = ("light", "simple", "pytorch-converted", "pytorch-operator")
HEAVY = ("i3d", "vgg", "alexnet", "zfnet", "densenet")
"""Parts of names of graphs whose cuts take minutes."""

MOST_WIDE = 12
"""Random cuts of one graph."""

Arrays = dict[str, Any]


@dataclass
class Tally:
    """What became of a graph and its cuts."""

    graphs: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    refused_graphs: Counter[str] = field(default_factory=Counter)
    singles: int = 0
    wide: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Sum up."""
        self.graphs += other.graphs
        self.singles += other.singles
        self.wide += other.wide
        self.skipped += other.skipped
        self.refused_graphs += other.refused_graphs
        self.refused += other.refused
        self.wrong += other.wrong


def corpus() -> dict[str, list[Path]]:
    """Source -> its graphs; a source that is not on this machine has none."""
    bundled = [path for folder in FOLDERS for path in sorted((ONNX_DATA / folder).rglob("*.onnx"))]
    return {
        "onnx package": bundled,
        "libonnx-testdata": sorted(DEBIAN_DATA.rglob("*.onnx")),
        "shared models": sorted((DATA / "models").glob("*.onnx")),
    }


def is_heavy(path: Path) -> bool:
    """Whether running every cut of this graph takes minutes."""
    return any(part in str(path) for part in HEAVY)


def check_graph(path: Path, wide: int, limit: int | None = None, seed: int = 0) -> Tally:
    """Try every single-tensor cut of a file, or ``limit`` of them at even distances, and up to ``wide`` random ones."""
    tally = Tally()
    try:
        runner = _Runner(path)
    except _Skip as reason:
        tally.skipped[str(reason)] += 1
        return tally
    tally.graphs += 1
    try:
        model = graph.load(path)
    except GraphError as error:
        _judge_graph(path, str(error), tally)
        return tally
    oracle = Oracle(model.ir_model)
    names = [name for name, value in model.flow.values.items() if value in model.flow.varying and value.producer()]
    for name in _spread(names, limit):
        tally.singles += _try(model, runner, oracle, [name], tally)
    rng = random.Random(f"{seed} {path.parent.name} {path.name}")
    for cut in _random_cuts(model, wide, rng):
        tally.wide += _try(model, runner, oracle, cut, tally)
    return tally


def _random_cuts(model: Model, count: int, rng: random.Random) -> list[tuple[str, ...]]:
    found: dict[tuple[str, ...], None] = {}
    for _ in range(20 * count):
        if len(found) >= count:
            break
        try:
            names = random_prefix_cut(model, rng)
        except (CutError, ValueError):  # a boundary with a sequence, or a graph with nothing that varies
            continue
        if names and len(names) > 1:
            found[names] = None
    return list(found)


def _try(model: Model, runner: _Runner, oracle: Oracle, names: Sequence[str], tally: Tally) -> bool:
    """One cut; whether it split. What is wrong goes into ``tally``."""
    where = f"{runner.path}: {list(names)}"
    try:
        halves = graph.split(model, names)
    except CutError as error:
        kind = oracle.judge(list(names), str(error))
        tally.refused[kind] += 1
        if kind.startswith("UNTRUE"):
            tally.wrong.append(f"{where}: refused untruly ({kind}): {error}")
        return False
    try:
        feature = run_bytes(graph.to_bytes(halves.head), runner.feeds)
        answer = run_bytes(graph.to_bytes(halves.tail), {name: feature[name] for name in names})
        merged = run_bytes(graph.to_bytes(graph.merge(halves.head, halves.tail)), runner.feeds)
    except Exception as error:
        tally.wrong.append(f"{where}: {str(error).splitlines()[0][:200]}")
        return True
    for kind, found in (("halves", answer), ("merged", merged)):
        if not same(found, runner.expected):
            tally.wrong.append(f"{where}: {kind} differ from the whole")
    return True


def _judge_graph(path: Path, message: str, tally: Tally) -> None:
    """A graph that is not loaded at all: is what is said of it so?"""
    proto = onnx.load(path, load_external_data=False)
    opset = next((one.version for one in proto.opset_import if one.domain == ""), 99)
    held = {tensor.name for tensor in proto.graph.initializer}
    facts = {
        "opset before 6": "is too old" in message and opset < 6,
        "no data input": "no data input" in message and all(value.name in held for value in proto.graph.input),
        "no nodes": "no nodes or no outputs" in message and not proto.graph.node,
    }
    kind = next((kind for kind, is_so in facts.items() if is_so), "")
    tally.refused_graphs[kind or "UNTRUE"] += 1
    if not kind:
        tally.wrong.append(f"{path}: not loaded: {message}")


def run_bytes(data: bytes, feeds: Arrays) -> Arrays:
    """Outputs by name, one thread, optimizations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def same(one: Arrays, other: Arrays) -> bool:
    """Equal bit for bit, whatever the order of names."""
    return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list) or isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) or one is None:
        return bool(one == other)
    mine, theirs = np.asarray(one), np.asarray(other)
    if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        return False
    return mine.tolist() == theirs.tolist() if mine.dtype == object else mine.tobytes() == theirs.tobytes()


def _spread(names: Sequence[str], limit: int | None) -> list[str]:
    if limit is None or len(names) <= limit:
        return list(names)
    return [names[(2 * index + 1) * len(names) // (2 * limit)] for index in range(limit)]


class _Skip(Exception):
    """ONNX Runtime cannot run this graph, or gives other numbers each time."""


class _Runner:
    """The whole graph as ONNX Runtime runs it from its file: inputs and the answers to them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = path.read_bytes()
        try:
            self.feeds = _feeds(path, onnx.load_from_string(data))
            self.expected = run_bytes(data, self.feeds)
            again = run_bytes(data, self.feeds)
        except Exception as error:
            raise _Skip("ONNX Runtime does not run it") from error
        if not same(self.expected, again):
            raise _Skip("random")


def _feeds(path: Path, proto: onnx.ModelProto) -> Arrays:
    """The recorded inputs where a test has them, else seeded random ones."""
    held = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in held]
    feeds = {}
    for index, value in enumerate(inputs):
        recorded = path.parent / "test_data_set_0" / f"input_{index}.pb"
        feeds[value.name] = _recorded(recorded, value) if recorded.is_file() else _random(value, index)
    return feeds


def _recorded(path: Path, value: onnx.ValueInfoProto) -> Any:
    data = path.read_bytes()
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type":
        return numpy_helper.to_array(onnx.TensorProto.FromString(data))
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))


def _random(value: onnx.ValueInfoProto, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    tensor = value.type.tensor_type
    dims = [dim.dim_value or 1 for dim in tensor.shape.dim]
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if np.dtype(kind).kind == "f":
        return rng.standard_normal(dims).astype(kind)
    if np.dtype(kind).kind == "O":
        return np.full(dims, "text", dtype=object)
    return rng.integers(0, 2, dims).astype(kind)


def walk(paths: Sequence[Path], wide: int, limit: int | None = None, seed: int = 0) -> Iterator[tuple[Path, Tally]]:
    """``check_graph`` of each; random cuts are handed out until ``wide`` are found over all, the last graphs first."""
    left = wide
    for path in reversed(paths):
        tally = check_graph(path, min(left, MOST_WIDE), limit, seed)
        left -= tally.wide
        yield path, tally
