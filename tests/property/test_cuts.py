"""Random graphs: the list of cuts is exactly the set of provable ones, and each splits and merges bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
import random

from graph_halves import assert_cut_holds, random_feeds, random_prefix_cut, run

from splitc import graph
from splitc.errors import CutError
from splitc.graph import Model
from splitc.passes import Simplify

UNARY = ("Relu", "Neg", "Tanh", "Identity", "Abs")
BINARY = ("Add", "Sub", "Max")
KINDS = (*UNARY, *BINARY, *BINARY, "Constant", "Swap", "ArgMax", "Reshape", "If", "Dropout")
IS_SLOW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """A DAG over ``[N, 4]`` floats: residuals, dead ends, shape arithmetic, integers, captures, several ends."""
    count = draw(st.integers(1, 2))
    values = [f"x{index}" for index in range(count)]
    nodes: list[onnx.NodeProto] = []
    for index in range(draw(st.integers(2, 10))):
        kind = draw(st.sampled_from(KINDS))
        recent = st.integers(max(0, len(values) - 4), len(values) - 1)
        one, other = values[draw(recent)], values[draw(recent)]
        nodes += make(kind, one, other, f"v{index}")
        values.append(f"v{index}")
    outputs = {values[-1], *draw(st.lists(st.sampled_from(values[count:]), max_size=1))}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in values]
    constants = [
        helper.make_tensor("w", TensorProto.FLOAT, [4], [1, -2, 3, 0.5]),
        helper.make_tensor("flag", TensorProto.BOOL, [], [True]),
    ]
    body = helper.make_graph(nodes, "g", ends[:count], [end for end in ends if end.name in outputs], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def make(kind: str, one: str, other: str, name: str) -> list[onnx.NodeProto]:
    """Nodes that compute ``name`` from one or two values of shape ``[N, 4]``."""
    if kind in UNARY or kind == "Dropout":
        return [helper.make_node(kind, [one], [name])]
    if kind in BINARY:
        return [helper.make_node(kind, [one, other], [name])]
    if kind == "Constant":
        return [helper.make_node("Exp", ["w"], [f"{name}e"]), helper.make_node("Add", [one, f"{name}e"], [name])]
    if kind == "Swap":
        split = helper.make_node("Split", [one], [f"{name}p", f"{name}q"], axis=1)
        return [split, helper.make_node("Concat", [f"{name}q", f"{name}p"], [name], axis=1)]
    if kind == "ArgMax":
        index = helper.make_node("ArgMax", [one], [f"{name}i"], axis=1, keepdims=1)
        cast = helper.make_node("Cast", [f"{name}i"], [f"{name}c"], to=TensorProto.FLOAT)
        return [index, cast, helper.make_node("Add", [other, f"{name}c"], [name])]
    if kind == "Reshape":
        return [
            helper.make_node("Shape", [one], [f"{name}s"]),
            helper.make_node("Reshape", [other, f"{name}s"], [name]),
        ]
    return [branches(one, other, name)]


def branches(one: str, other: str, name: str) -> onnx.NodeProto:
    """An If whose branches capture both values."""
    bodies = []
    for side in ("then", "else"):
        end = helper.make_tensor_value_info(f"{name}{side}", TensorProto.FLOAT, ["N", 4])
        inner = helper.make_node("Add" if side == "then" else "Sub", [one, other], [end.name])
        bodies.append(helper.make_graph([inner], side, [], [end]))
    return helper.make_node("If", ["flag"], [name], then_branch=bodies[0], else_branch=bodies[1])


def provable(model: Model) -> set[str]:
    """Brute force: every value that is a cut of its own and fit for a codec."""
    found = set()
    for name in model.flow.values:
        try:
            graph.check_codable(model, graph.check_cut(model, [name]))
        except CutError:
            continue
        found.add(name)
    return found


@IS_SLOW
@given(models())
def test_listed_single_cuts_are_exactly_the_provable_ones(proto: onnx.ModelProto) -> None:
    model = graph.model_from_ir(ir.from_proto(proto))
    listed = {cut.names[0] for cut in graph.enumerate_cuts(model).candidates if len(cut.names) == 1}
    assert listed == provable(model)


@IS_SLOW
@given(models())
def test_every_listed_cut_splits_and_merges_bit_for_bit(proto: onnx.ModelProto) -> None:
    model = graph.model_from_ir(ir.from_proto(proto))
    feeds = random_feeds(model, batch=3)
    expected = run(model.ir_model, feeds)
    for cut in graph.enumerate_cuts(model).candidates:
        assert_cut_holds(model, cut.names, feeds, expected)


@IS_SLOW
@given(models(), st.integers(0, 1000))
def test_random_boundaries_split_and_merge_bit_for_bit(proto: onnx.ModelProto, seed: int) -> None:
    model = graph.model_from_ir(ir.from_proto(proto))
    feeds = random_feeds(model, seed, batch=2)
    names = random_prefix_cut(model, random.Random(seed))
    if names is not None:
        assert_cut_holds(model, names, feeds, run(model.ir_model, feeds))


@IS_SLOW
@given(models())
def test_simplify_changes_no_bit_and_keeps_cuts_provable(proto: onnx.ModelProto) -> None:
    model = graph.model_from_ir(ir.from_proto(proto))
    simple = graph.model_from_ir(Simplify()(model.ir_model).model)
    feeds = random_feeds(model, batch=2)
    expected = run(model.ir_model, feeds)
    for cut in graph.enumerate_cuts(simple).candidates[:3]:
        assert_cut_holds(simple, cut.names, feeds, expected, merge_too=False)


def chain(count: int, has_long_skip: bool) -> onnx.ModelProto:
    """``count`` nodes in residual blocks of four, optionally with a skip over everything after the first block."""
    nodes, previous = [], "x"
    for index in range(count // 4):
        names = [f"{letter}{index}" for letter in "abcd"]
        nodes.append(helper.make_node("Relu", [previous], [names[0]]))
        nodes.append(helper.make_node("Mul", [names[0], "w"], [names[1]]))
        nodes.append(helper.make_node("Add", [names[1], previous], [names[2]]))
        nodes.append(helper.make_node("Tanh", [names[2]], [names[3]]))
        previous = names[3]
    nodes.append(helper.make_node("Add", ["d0" if has_long_skip else previous, previous], ["y"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    body = helper.make_graph(nodes, "chain", ends[:1], ends[1:], [weight])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_twenty_thousand_nodes_take_seconds() -> None:
    """Anything quadratic here would take many minutes."""
    model = graph.model_from_ir(ir.from_proto(chain(20_000, has_long_skip=False)))
    found = graph.enumerate_cuts(model)
    assert len(found.candidates) == 10_000
    halves = graph.split(model, found.candidates[5_000].names)
    assert len(graph.merge(halves.head, halves.tail).graph) == len(model.flow.nodes)


def test_eight_thousand_nodes_under_one_skip_take_seconds() -> None:
    model = graph.model_from_ir(ir.from_proto(chain(8_000, has_long_skip=True)))
    found = graph.enumerate_cuts(model)
    assert [cut.names for cut in found.candidates] == [("c0",), ("d0",)]
    assert len(found.rejected) == 7_999
