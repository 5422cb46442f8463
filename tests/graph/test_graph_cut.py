"""Every refusal of a cut, word by word."""

from __future__ import annotations

import re

import pytest
from graph_halves import parse

from splitc import graph
from splitc.errors import CutError

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
RESIDUAL = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) <float[4] w = {{1, 2, 3, 4}}> {{
    stem = Relu(x)  e = Exp(w)  conv = Mul(stem, e)  act = Tanh(conv)  sum = Add(stem, act)  unused = Neg(act)
    y = Exp(sum) }}"""
LONG = (
    f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ a0 = Relu(x) "
    + " ".join(f"a{i} = Neg(a{i - 1})" for i in range(1, 12))
    + " b = Exp(x)  y = Add(a11, b) }"
)
IF = f"""{HEADER} g (float[N,4] x, bool c) => (float[N,4] y) {{
    a = Relu(x)
    z = If (c) <then_branch = t () => (float[N,4] p) {{ inner = Exp(a)  p = Neg(inner) }},
                else_branch = e () => (float[N,4] q) {{ q = Neg(a) }}>
    y = Tanh(z) }}"""
INT64 = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) {{
    a = Relu(x)  i = ArgMax<axis=1, keepdims=1>(a)  b = Tanh(a)  d = GatherElements<axis=1>(b, i)  y = Neg(d) }}"""
QDQ = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) <float s = {{0.05}}, int8 z = {{3}}> {{
    a = Relu(x)  q = QuantizeLinear(a, s, z)  d = DequantizeLinear(q, s, z)  b = Neg(d)  y = Tanh(b) }}"""
SEQUENCE = f"""{HEADER} g (float[N,4] x) => (float[N,4] y) {{
    a = Relu(x)  b = Neg(a)  q = SequenceConstruct(a, b)  y = ConcatFromSequence<axis=0>(q) }}"""
UNKNOWN_SHAPE = f"""{HEADER} g (float[N,4] x, int64[K] s) => (float[M] y) <int64[1] flat = {{-1}}> {{
    a = Reshape(x, s)  b = Neg(a)  y = Reshape(b, flat) }}"""
UNKNOWN_OPERATOR = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[2,4] x) => (float[2,4] y) { a = Relu(x)  b = com.microsoft.Gelu(a)  c = Tanh(b)  y = Neg(c) }"""
LOOP = f"""{HEADER} g (float[2] x) => (float[2] y) <int64 three = {{3}}, bool go = {{1}}> {{
    a = Loop(three, go, x) <body = l (int64 i, bool k, float[2] v) => (bool k2, float[2] v2) {{
        k2 = Identity(k)  v2 = Exp(v) }}>
    b = Neg(a)  y = Exp(b) }}"""

REFUSALS = [
    pytest.param(RESIDUAL, [], "cut []: names no value; name at least one.", id="nothing"),
    pytest.param(
        RESIDUAL, ["stem", "stem"], "cut [stem, stem]: value 'stem' is named twice; name it once.", id="twice"
    ),
    pytest.param(
        RESIDUAL,
        ["con"],
        "cut [con]: no value is called 'con'. Did you mean 'conv'? 'splitc inspect --cuts' lists the cuts.",
        id="misspelt",
    ),
    pytest.param(
        RESIDUAL,
        ["w"],
        "cut [w]: value 'w' is an initializer, which both halves may hold; choose a computed value.",
        id="initializer",
    ),
    pytest.param(
        RESIDUAL,
        ["e"],
        "cut [e]: value 'e' depends on no data input, so both halves can compute it; leave it out.",
        id="constant",
    ),
    pytest.param(
        RESIDUAL,
        ["x"],
        "cut [x]: these are inputs of the model, so the head would be empty; choose a computed value.",
        id="input",
    ),
    pytest.param(
        RESIDUAL,
        ["y"],
        "cut [y]: these are all outputs of the model, so the tail would be empty; choose earlier values.",
        id="output",
    ),
    pytest.param(
        RESIDUAL,
        ["act"],
        "cut [act]: data reaches output 'y' around it: x -> stem -> sum -> y (last node Exp 'y'); "
        "add a value of this path, or choose a value that every path passes.",
        id="leak",
    ),
    pytest.param(
        LONG,
        ["b"],
        "cut [b]: data reaches output 'y' around it: x -> a0 -> a1 -> ... 8 more ... -> a10 -> a11 -> y "
        "(last node Add 'y'); add a value of this path, or choose a value that every path passes.",
        id="long-leak",
    ),
    pytest.param(
        RESIDUAL,
        ["sum", "act"],
        "cut [sum, act]: value 'act' is not needed: everything it feeds passes through the other members or "
        "reaches no output; leave it out.",
        id="redundant",
    ),
    pytest.param(
        RESIDUAL,
        ["sum", "unused"],
        "cut [sum, unused]: value 'unused' is not needed: everything it feeds passes through the other members or "
        "reaches no output; leave it out.",
        id="dead",
    ),
    pytest.param(
        IF,
        ["inner"],
        "cut [inner]: value 'inner' is a cut inside a subgraph (If, Loop or Scan); choose one outside it.",
        id="subgraph",
    ),
    pytest.param(
        IF,
        ["a"],
        "cut [a]: data reaches output 'y' around it: c -> z -> y (last node Tanh 'y'); "
        "add a value of this path, or choose a value that every path passes.",
        id="second-input",
    ),
    pytest.param(
        SEQUENCE,
        ["q"],
        "cut [q]: value 'q' is a sequence, not a tensor; choose another value.",
        id="sequence",
    ),
    pytest.param(
        UNKNOWN_SHAPE,
        ["b"],
        "cut [b]: value 'b' has unknown shape: Reshape 'a' leaves it open; "
        "give the shapes of the inputs, or choose another value.",
        id="unknown-shape",
    ),
    pytest.param(
        UNKNOWN_OPERATOR,
        ["c"],
        "cut [c]: value 'c' has unknown shape: no shape inference knows com.microsoft.Gelu 'b'; "
        "choose a value before it, or export the model with the shapes of its values.",
        id="unknown-operator",
    ),
    pytest.param(
        LOOP,
        ["b"],
        "cut [b]: value 'b' has unknown shape: Loop 'a' leaves it open, although the inputs are fixed; "
        "choose a value before it.",
        id="shape-of-a-loop",
    ),
]


@pytest.mark.parametrize(("text", "names", "message"), REFUSALS)
def test_a_cut_that_cannot_be_made_says_why(text: str, names: list[str], message: str) -> None:
    with pytest.raises(CutError, match=f"^{re.escape(message)}$"):
        graph.check_cut(parse(text), names)


def test_a_captured_value_leaks_through_the_subgraph() -> None:
    model = parse(IF.replace("z = If", "b = Neg(a) z0 = If").replace("y = Tanh(z)", "z = Add(z0, b) y = Tanh(z)"))
    with pytest.raises(CutError, match="around it: x -> a -> z0 -> z -> y"):
        graph.check_cut(model, ["b", "c"])


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        pytest.param(
            INT64,
            ["b", "i"],
            "cut [b, i]: value 'i' also crosses and is int64; a codec takes float tensors: choose d.",
            id="int64",
        ),
        pytest.param(QDQ, ["q"], "cut [q]: value 'q' is int8; a codec takes float tensors: choose a.", id="int8"),
    ],
)
def test_a_codec_takes_floats_and_the_refusal_names_a_usable_cut(text: str, names: list[str], message: str) -> None:
    model = parse(text)
    cut = graph.check_cut(model, names)
    with pytest.raises(CutError, match=f"^{re.escape(message)}$"):
        graph.check_codable(model, cut)


def test_a_float_cut_is_codable() -> None:
    model = parse(INT64)
    graph.check_codable(model, graph.check_cut(model, ["a"]))


def test_a_model_without_float_cuts_says_so() -> None:
    model = parse(f"{HEADER} g (int64[4] x) => (int64[4] y) {{ a = Neg(x)  y = Abs(a) }}")
    with pytest.raises(CutError, match="this model has no cut of float tensors"):
        graph.check_codable(model, ["a"])


def test_rejected_values_keep_their_reasons() -> None:
    reasons = {cut.names: cut.reason for cut in graph.enumerate_cuts(parse(RESIDUAL)).rejected}
    assert reasons[("conv",)] == "leaks via x -> stem -> sum -> y: value 'stem' also crosses"
    assert reasons[("y",)] == "it is the only output of the model, so the tail would be empty"
    reasons = {cut.names: cut.reason for cut in graph.enumerate_cuts(parse(INT64)).rejected}
    assert reasons[("i", "b")] == "value 'i' also crosses and is int64; a codec takes float tensors"


def test_candidates_carry_what_inspect_prints() -> None:
    first, second = graph.enumerate_cuts(parse(RESIDUAL)).candidates
    assert (first.names, first.shapes, first.dtypes, first.wire_bytes) == (("stem",), (("N", 4),), ("float32",), 16)
    assert (first.head_flops, first.tail_flops) == (4, 16)
    assert (first.head_parameters, first.tail_parameters) == (0, 4)
    assert (second.names, second.head_parameters, second.tail_parameters) == (("sum",), 4, 0)
    assert first.position < second.position


def test_max_tensors_bounds_the_width() -> None:
    wide = f"""{HEADER} g (float[N,4] x) => (float[N,12] y) {{
        a = Relu(x)  p = Tanh(a)  q = Neg(a)  r = Abs(a)  y0 = Concat<axis=1>(p, q, r)  y = Exp(y0) }}"""
    assert ("p", "q", "r") in [cut.names for cut in graph.enumerate_cuts(parse(wide), max_tensors=3).candidates]
    assert all(len(cut.names) == 1 for cut in graph.enumerate_cuts(parse(wide), max_tensors=2).candidates)
