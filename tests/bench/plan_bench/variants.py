"""The big model in the forms whose halves are harder to prove: their weights must stay unread as well."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import onnx
from onnx import helper, parser

from plan_bench.process import measure
from plan_bench.rows import Cell, Row

AT = "h1"
TOOL = "splitc split, "


def rows(path: Path, size: int) -> Iterator[Row]:
    """One row a form of the model at ``path``, which has ``size`` bytes of external weights: split behind a block."""
    for name, change in VARIANTS.items():
        model = onnx.load(path, load_external_data=False)
        exits = change(model.graph)
        variant = path.with_name("variant.onnx")
        variant.write_bytes(model.SerializeToString())
        out = path.with_name("variant")
        out.mkdir()
        found = measure("plan_bench.big_tools:splitc_split", _arguments(variant, out, exits))
        if found.error:
            raise RuntimeError(found.error)
        cells: dict[str, Cell] = {
            "tool": TOOL + name,
            "version": version("splitc"),
            "weights_gb": size / 1e9,
            "seconds": found.seconds,
            "peak_gb": found.peak_mb / 1e3,
            "written_gb": sum(file.stat().st_size for file in out.iterdir()) / 1e9,
            "note": "",
        }
        shutil.rmtree(out)
        yield Row("big", f"{name}, {size / 1e9:.1f} GB", cells)


def _arguments(path: Path, out: Path, exits: str) -> dict[str, str]:
    return {"path": str(path), "out": str(out), "at": AT, "exits": exits}


def _early_exit(graph: onnx.GraphProto) -> str:
    _insert(graph, helper.make_node("Relu", ["h0"], ["early"]))
    graph.output.insert(0, helper.make_tensor_value_info("early", 1, _dims(graph)))
    return "early"


def _branch(graph: onnx.GraphProto) -> str:
    graph.input.append(helper.make_tensor_value_info("flag", 9, []))
    bodies = {
        side: parser.parse_graph(f"{side} () => (float[N,T,D] {side}_out) {{ {side}_out = {kind}(h0) }}")
        for side, kind in (("then_branch", "Relu"), ("else_branch", "Neg"))
    }
    _pass_through(graph, helper.make_node("If", ["flag"], ["picked"], **bodies))
    return ""


def _loop(graph: onnx.GraphProto) -> str:
    body = parser.parse_graph("""body (int64 i, bool go, float[N,T,D] state)
        => (bool goes, float[N,T,D] next) { goes = Identity(go)  next = Add(state, state) }""")
    graph.initializer.append(helper.make_tensor("three", 7, [], [3]))
    _pass_through(graph, helper.make_node("Loop", ["three", "", "h0"], ["picked"], body=body))
    graph.value_info.extend(helper.make_tensor_value_info(name, 1, _dims(graph)) for name in ("picked", AT))
    return ""


def _shapes(graph: onnx.GraphProto) -> str:
    _insert(graph, helper.make_node("Shape", ["h0"], ["sizes"]))
    last = graph.output[0].name
    graph.node.append(helper.make_node("Reshape", [last, "sizes"], ["reshaped"]))
    graph.output[0].name = "reshaped"
    return ""


def _dims(graph: onnx.GraphProto) -> list[int | str]:
    """Of the tensors between the blocks."""
    return [dim.dim_param or dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]


def _pass_through(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Everything that read ``h0`` reads the output of ``node`` instead."""
    for reader in graph.node:
        kept = [node.output[0] if name == "h0" else name for name in reader.input]
        reader.input[:] = kept
    _insert(graph, node)


def _insert(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Behind the first block."""
    nodes = list(graph.node)
    place = next(index for index, one in enumerate(nodes) if one.output[0] == "h0") + 1
    del graph.node[:]
    graph.node.extend([*nodes[:place], node, *nodes[place:]])


VARIANTS: dict[str, Callable[[onnx.GraphProto], str]] = {
    "early exit": _early_exit,
    "If": _branch,
    "Loop": _loop,
    "recomputed shape": _shapes,
}
"""Each changes a graph in place and returns the exits to split with."""
TOOLS = frozenset(TOOL + name for name in VARIANTS)
"""What the rows call it."""
