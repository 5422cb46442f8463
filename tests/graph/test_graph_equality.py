"""Proofs without running: orders of outputs, bodies, vectors of sizes; and what must not be proven."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from graph_halves import parse

from splitc import graph
from splitc.errors import GraphError

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
EXITS = f"""{HEADER} g (float[N,4] x) => (float[N,4] early, float[N,4] late, float[N,4] third) {{
    a = Relu(x)  early = Abs(a)  b = Tanh(a)  late = Exp(b)  third = Neg(a) }}"""
BRANCH = f"""{HEADER} g (float[N,4] x, bool c) => (float[N,4] y) {{
    a = Relu(x)
    z = If (c) <then_branch = t () => (float[N,4] p) {{ o = Add(a, a)  p = Neg(o) }},
                else_branch = e () => (float[N,4] q) {{ q = Mul(a, a) }}>
    y = Tanh(z) }}"""
LOOP = f"""{HEADER} g (float[2] x) => (float[2] y) <int64 three = {{3}}, bool go = {{1}}> {{
    a = Relu(x)
    c = Loop(three, go, a) <body = l (int64 i, bool k, float[2] v) => (bool k2, float[2] v2) {{
        k2 = Identity(k)
        v2 = If (k) <then_branch = t () => (float[2] p) {{ p = Add(v, a) }},
                     else_branch = e () => (float[2] q) {{ q = Mul(v, v) }}> }}>
    y = Neg(c) }}"""
SHAPES = f"""{HEADER} g (float[N,2,3] x) => (float[N,6] y) <int64[1] zero = {{0}}, int64[1] rest = {{-1}}> {{
    s = Shape(x)  n = Gather(s, zero)  a = Relu(x)  t = Concat<axis=0>(n, rest)  y = Reshape(a, t) }}"""
SIZE = f"""{HEADER} g (float[N,3] x) => (float[N,3] y) {{
    n = Size(x)  a = Relu(x)  f = Cast<to=1>(n)  y = Mul(a, f) }}"""
DRAWS = f"""{HEADER} g (float[2,4] x) => (float[2,4] y) <float[4] w = {{1, 2, 3, 4}}> {{
    k = Neg(w)  a = Add(x, k)  b = Mul(a, k)  r = RandomNormalLike(b)  y = Add(b, r) }}"""


def is_proven(text: str, at: list[str], exits: tuple[str, ...] = ()) -> bool:
    model = parse(text)
    halves = graph.split(model, at, exits)
    return graph.is_same_computation(model.ir_model, graph.merge(halves.head, halves.tail))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param(BRANCH, ["z"], id="nameless-nodes-in-branches"),
        pytest.param(BRANCH, ["a", "c"], id="branches-in-the-tail"),
        pytest.param(LOOP, ["a"], id="if-in-a-loop"),
        pytest.param(SHAPES, ["a"], id="dynamic-shape"),
        pytest.param(SHAPES.replace("N,", "5,"), ["a"], id="static-shape"),
        pytest.param(SIZE, ["a"], id="size"),
        pytest.param(DRAWS, ["a"], id="random-behind-what-is-in-both-halves"),
    ],
)
def test_halves_are_proven(text: str, at: list[str]) -> None:
    assert is_proven(text, at)


@pytest.mark.parametrize("exits", [("early",), ("early", "third"), ("third",)])
def test_outputs_keep_their_order_when_some_are_exits(exits: tuple[str, ...]) -> None:
    model = parse(EXITS)
    halves = graph.split(model, ["a"], exits)
    merged = graph.merge(halves.head, halves.tail)
    assert [value.name for value in merged.graph.outputs] == ["early", "late", "third"]
    assert graph.is_same_computation(model.ir_model, merged)


@pytest.mark.parametrize("note", ["[", "3", '["a", 1]', "[" * 100_000])
def test_a_damaged_note_on_the_order_is_refused(note: str) -> None:
    halves = graph.split(parse(EXITS), ["a"], ["early"])
    halves.tail.metadata_props["splitc.outputs"] = note
    with pytest.raises(GraphError, match=r"metadata 'splitc.outputs' is .*, no list of names; remove it"):
        graph.merge(halves.head, halves.tail)


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        pytest.param(BRANCH, "Neg(o)", "Abs(o)", id="operator-in-a-branch"),
        pytest.param(BRANCH, "o = Add(a, a)", "o = Add(a, x)", id="captured-value"),
        pytest.param(LOOP, "Mul(v, v)", "Mul(v, a)", id="nested-body"),
        pytest.param(LOOP, "Add(v, a)", "Add(a, v)", id="order-in-a-nested-body"),
        pytest.param(SHAPES, "zero = {0}", "zero = {1}", id="another-dimension"),
        pytest.param(SHAPES, "(n, rest)", "(rest, n)", id="order-of-dimensions"),
        pytest.param(SIZE, "n = Size(x)", "s = Shape(x)  n = ReduceProd<keepdims=1>(s)", id="a-vector-is-no-scalar"),
        pytest.param(DRAWS, "Add(b, r)", "Add(b, r2)  r2 = RandomNormalLike(b)", id="another-draw"),
    ],
)
def test_another_computation_is_not_proven(text: str, old: str, new: str) -> None:
    assert old in text
    other: ir.Model = parse(text.replace(old, new)).ir_model
    assert not graph.is_same_computation(parse(text).ir_model, other)
