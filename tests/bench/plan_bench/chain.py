"""A long graph: a chain with residual skips; all its cuts are listed, and it is split in the middle and merged back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from onnx import helper

from plan_bench.process import measure
from plan_bench.rows import Cell, Row, cell

NODES = 100_000
QUICK_NODES = 2_000
BLOCK = 4


def rows(quick: bool) -> Iterator[Row]:
    """One row for what ``inspect`` does, one for splitting in the middle and merging; each in its process."""
    count = QUICK_NODES if quick else NODES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.onnx"
        onnx.save(chain(count), path)
        for name, function in (("inspect", "list_cuts"), ("split and merge", "split_and_merge")):
            found = measure(f"plan_bench.chain:{function}", {"path": str(path)})
            if found.error:
                raise RuntimeError(found.error)
            yield Row("chain", name, {**found.value, "seconds": found.seconds, "peak_mb": found.peak_mb})


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """Of ``inspect``: loading and listing all cuts."""
    return {"chain_seconds": cell(rows, "inspect", "seconds"), "chain_peak_mb": cell(rows, "inspect", "peak_mb")}


def list_cuts(path: str) -> dict[str, int]:
    """Load, and list every cut."""
    from splitc import graph

    model = graph.load(path)
    return {"nodes": model.nodes, "cuts": len(graph.enumerate_cuts(model).candidates)}


def split_and_merge(path: str) -> dict[str, int]:
    """Load, split at the middle block's end, merge."""
    from splitc import graph

    model = graph.load(path)
    halves = graph.split(model, [f"tanh{model.nodes // BLOCK // 2}"])
    return {"nodes": len(graph.join(halves.head, halves.tail).graph), "cuts": 1}


def chain(count: int) -> onnx.ModelProto:
    """``count`` nodes in residual blocks of four."""
    nodes, previous = [], "x"
    for index in range(count // BLOCK):
        relu, mul, add, tanh = (f"{kind}{index}" for kind in ("relu", "mul", "add", "tanh"))
        nodes.append(helper.make_node("Relu", [previous], [relu]))
        nodes.append(helper.make_node("Mul", [relu, "w"], [mul]))
        nodes.append(helper.make_node("Add", [mul, previous], [add]))
        nodes.append(helper.make_node("Tanh", [add], [tanh]))
        previous = tanh
    ends = [helper.make_tensor_value_info(name, 1, ["N", 4]) for name in ("x", previous)]
    weight = helper.make_tensor("w", 1, [4], [1, 2, 3, 4])
    body = helper.make_graph(nodes, "chain", ends[:1], ends[1:], [weight])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
