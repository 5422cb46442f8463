"""A long graph: a chain with residual skips, loaded, all its cuts listed, split in the middle and merged back."""

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
    """One row: seconds of each step, and peak memory."""
    count = QUICK_NODES if quick else NODES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.onnx"
        onnx.save(chain(count), path)
        found = measure("plan_bench.chain:walk", {"path": str(path)})
    if found.error:
        raise RuntimeError(found.error)
    steps = found.value
    yield Row("chain", f"{count} nodes", {**steps, "seconds": found.seconds, "peak_mb": found.peak_mb})


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """``chain_seconds`` is of loading and listing all cuts: what ``inspect`` does."""
    return {
        "chain_seconds": cell(rows, f"{NODES} nodes", "inspect_s"),
        "chain_peak_mb": cell(rows, f"{NODES} nodes", "peak_mb"),
    }


def walk(path: str) -> dict[str, float]:
    """Everything that the graph room does, timed; runs in a process of its own."""
    import time

    from splitc import graph

    started = time.perf_counter()
    model = graph.load(path)
    loaded = time.perf_counter()
    cuts = graph.enumerate_cuts(model).candidates
    listed = time.perf_counter()
    halves = graph.split(model, cuts[len(cuts) // 2].names)
    split = time.perf_counter()
    graph.merge(halves.head, halves.tail)
    merged = time.perf_counter()
    return {
        "cuts": len(cuts),
        "inspect_s": listed - started,
        "load_s": loaded - started,
        "list_s": listed - loaded,
        "split_s": split - listed,
        "merge_s": merged - split,
    }


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
