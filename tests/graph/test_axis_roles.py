"""Which axes are samples and channels, read from the operators; and cuts that a codec would refuse, listed as such."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from onnx.backend.test.case.node import collect_testcases

from splitc import graph
from splitc.errors import CutError, GraphError
from splitc.types import Layout, TensorSpec


def parse(inputs: str, body: str, weights: str = "") -> graph.Model:
    """A model whose output ``y`` is a copy of the value ``v`` that the body makes."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    net ({inputs}) => (float[A] y) {f"<{weights}>" if weights else ""} {{ {body} shape = Constant<value_ints=[-1]>()
    y = Reshape(v, shape) }}"""
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def layout(model: graph.Model, name: str = "v") -> tuple[int | None, int | None, bool]:
    ((found, is_known),) = graph.cut_layouts(model, [name])
    return found.batch_axis, found.channel_axis, is_known


CONV = "float[8,3,1,1] w = {" + ",".join(["1"] * 24) + "}"
BY_WEIGHTS = "float[6,8] w = {" + ",".join(["1"] * 48) + "}"
MAP, TOKENS, IMAGE = "float[N,3,4,5] x", "float[N,T,6] x", "float[N,7,5,3] x"
ORDERS = {
    # body: inputs, weights, (samples, channels, known)
    "conv": (MAP, "v = Conv(x, w)", CONV, (0, 1, True)),
    "transposed": (MAP, "c = Conv(x, w) v = Transpose<perm=[0,2,3,1]>(c)", CONV, (0, 3, True)),
    "reversed": (MAP, "c = Conv(x, w) v = Transpose(c)", CONV, (3, 2, True)),
    "nhwc": (
        IMAGE,
        "t = Transpose<perm=[0,3,1,2]>(x) c = Conv(t, w) n = Transpose<perm=[0,2,3,1]>(c) v = Relu(n)",
        CONV,
        (0, 3, True),
    ),
    "flattened-map": (MAP, "c = Conv(x, w) s = Constant<value_ints=[0,8,-1]>() v = Reshape(c, s)", CONV, (0, 1, True)),
    "flattened": (MAP, "c = Conv(x, w) v = Flatten(c)", CONV, (0, 1, True)),
    "tokens": (TOKENS, "v = MatMul(x, w)", BY_WEIGHTS, (0, 2, True)),
    "time-first": (TOKENS, "m = MatMul(x, w) v = Transpose<perm=[1,0,2]>(m)", BY_WEIGHTS, (1, 2, True)),
    "weights-from-the-left": (
        "float[N,8,T] x",
        "v = MatMul(w, x)",
        BY_WEIGHTS,
        (0, 1, True),
    ),
    "biased": (TOKENS, "m = MatMul(x, w) b = Constant<value_floats=[1.0]>() v = Add(b, m)", BY_WEIGHTS, (0, 2, True)),
    "heads": (
        TOKENS,
        "m = MatMul(x, w) s = Constant<value_ints=[0,0,2,4]>() h = Reshape(m, s) v = Transpose<perm=[0,2,1,3]>(h)",
        BY_WEIGHTS,
        (0, 3, True),
    ),
    "first-token": (
        TOKENS,
        "m = MatMul(x, w) i = Constant<value_int=0>() v = Gather<axis=1>(m, i)",
        BY_WEIGHTS,
        (0, 1, True),
    ),
    "mean-over-tokens": (TOKENS, "m = MatMul(x, w) v = ReduceMean<axes=[1], keepdims=0>(m)", BY_WEIGHTS, (0, 1, True)),
    "unsqueezed": (
        TOKENS,
        "m = MatMul(x, w) a = Constant<value_ints=[0]>() v = Unsqueeze(m, a)",
        BY_WEIGHTS,
        (1, 3, True),
    ),
    "squeezed": (
        "float[1,T,6] x",
        "m = MatMul(x, w) a = Constant<value_ints=[0]>() v = Squeeze(m, a)",
        BY_WEIGHTS,
        (None, 1, True),
    ),
    "windows": (
        "float[N,4,4,6] x",
        """m = MatMul(x, w) a = Constant<value_ints=[-1,2,2,2,2,8]>() r = Reshape(m, a)
        t = Transpose<perm=[0,1,3,2,4,5]>(r) s = Constant<value_ints=[-1,4,8]>() v = Reshape(t, s)""",
        BY_WEIGHTS,
        (0, 2, True),
    ),
    "time-and-samples-in-one": (
        TOKENS,
        "m = MatMul(x, w) t = Transpose<perm=[1,0,2]>(m) s = Constant<value_ints=[-1,8]>() v = Reshape(t, s)",
        BY_WEIGHTS,
        (0, 1, True),
    ),
    "time-and-samples-apart-again": (
        TOKENS,
        """m = MatMul(x, w) t = Transpose<perm=[1,0,2]>(m) s = Constant<value_ints=[-1,8]>() f = Reshape(t, s)
        r = Relu(f) z = Shape(t) v = Reshape(r, z)""",
        BY_WEIGHTS,
        (1, 2, True),
    ),
    "samples-and-time-apart-again": (
        TOKENS,
        """m = MatMul(x, w) s = Constant<value_ints=[-1,8]>() f = Reshape(m, s) b = Constant<value_floats=[1.0]>()
        r = Add(b, f) z = Shape(m) v = Reshape(r, z)""",
        BY_WEIGHTS,
        (0, 2, True),
    ),
    "attention-weights": (TOKENS, "k = Transpose<perm=[0,2,1]>(x) v = MatMul(x, k)", "", (0, None, True)),
    "untold": ("float[N,7,6] x", "v = Relu(x)", "", (0, 1, False)),
    "one-choice": (TOKENS, "v = Relu(x)", "", (0, 2, True)),
    "no-choice": ("float[N,T] x", "v = Relu(x)", "", (0, None, True)),
    "vector": ("float[N] x", "v = Relu(x)", "", (0, 1, True)),
    "picture-last": (IMAGE, "v = Relu(x)", "", (0, 3, True)),
    "either-end": ("float[N,3,8,3] x", "v = Relu(x)", "", (0, 1, False)),
    "clip": ("float[N,3,8,4,4] x", "v = Relu(x)", "", (0, 1, True)),
    "embedding": (
        "int64[N,T] x",
        "v = Gather(w, x)",
        BY_WEIGHTS,
        (0, 2, True),
    ),
}


@pytest.mark.parametrize("name", ORDERS)
def test_the_graph_tells_samples_and_channels(name: str) -> None:
    inputs, body, weights, want = ORDERS[name]
    assert layout(parse(inputs, body, weights)) == want


RECURRENT = {
    "lstm": ("LSTM<hidden_size=8>", "float[1,32,6] w, float[1,32,8] r", 32, (2, 3, True)),
    "gru": ("GRU<hidden_size=8>", "float[1,24,6] w, float[1,24,8] r", 24, (2, 3, True)),
    "rnn": ("RNN<hidden_size=8>", "float[1,8,6] w, float[1,8,8] r", 8, (2, 3, True)),
    "lstm-batch-first": ("LSTM<hidden_size=8, layout=1>", "", 32, (0, 3, True)),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_have_samples_behind_time(name: str) -> None:
    kind, _, gates, want = RECURRENT[name]
    w, r = ("{" + ",".join(["0.1"] * gates * size) + "}" for size in (6, 8))
    weights = f"float[1,{gates},6] w = {w}, float[1,{gates},8] r = {r}"
    turned = "t = Identity(x)" if "layout" in kind else "t = Transpose<perm=[1,0,2]>(x)"
    assert layout(parse(TOKENS, f"{turned} v = {kind}(t, w, r)", weights)) == want
    last = parse(TOKENS, f"{turned} o, v = {kind}(t, w, r)", weights)
    assert layout(last) == ((0 if "layout" in kind else 1), 2, True)


def no_tokens(spec: TensorSpec, found: Layout) -> str | None:
    return "has tokens" if "T" in spec.shape and found.channel_axis == 2 else None


TWO = ("m = MatMul(x, w) v = ReduceMean<axes=[1], keepdims=0>(m)", BY_WEIGHTS)


def test_cuts_that_the_codec_refuses_are_listed_with_its_reason() -> None:
    model = parse(TOKENS, *TWO)
    assert [cut.names for cut in graph.enumerate_cuts(model).candidates] == [("m",), ("v",)]
    found = graph.enumerate_cuts(model, refuse=no_tokens)
    assert [cut.names for cut in found.candidates] == [("v",)]
    assert {cut.names: cut.reason for cut in found.rejected}[("m",)] == "value 'm' has tokens"


def test_a_refused_cut_names_one_nearby() -> None:
    model = parse(TOKENS, *TWO)
    graph.check_codable(model, ["m"])
    with pytest.raises(CutError, match=r"cut \[m\]: value 'm' has tokens: choose v\."):
        graph.check_codable(model, ["m"], no_tokens)
    with pytest.raises(CutError, match="this model has no cut that the codec takes"):
        graph.check_codable(model, ["m"], lambda spec, found: "is not liked")


def test_the_layouts_of_onnx_own_operator_tests_are_possible() -> None:
    """Whatever an operator is, the axes exist, differ, and channels have a fixed size."""
    cases = [case.model for case in collect_testcases(None) if case.model is not None]
    assert len(cases) > 1000
    for one in cases[::3]:
        try:
            model = graph.model_from_ir(ir.from_proto(one))
        except GraphError:  # no data input, or an opset before 6
            continue
        for value in model.flow.varying:
            shape = tuple(dim if isinstance(dim, int) else str(dim.value) for dim in value.shape or ())
            assert not shape or model.flow.layout(value).layout.fault(shape) is None, (one.graph.name, shape)


STATES = {
    # inputs, the state, its samples' axis
    "named": ("float[N,8] x, float[2,N,8] h", "h", 1),
    "named-last": ("float[N,8] x, float[2,8,N] h", "h", 2),
    "batch-first": ("float[N,8] x, float[N,2,8] h", "h", 0),
    "fixed": ("float[1,8] x, float[2,1,8] h", "h", None),
    "fixed-batch": ("float[8,4] x, float[8,2,8] h", "h", 0),
    "state-in-front": ("float[2,N,8] h, float[N,8] x", "h", 1),
    "a-vector": ("float[N,8] x, float[3] h", "h", None),
    "one-of-two-batches": ("float[8,4] x, float[1,4] h", "h", None),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_has_its_samples_where_it_says(case: str) -> None:
    inputs, name, expected = STATES[case]
    model = parse(
        inputs,
        "k = Constant<value_ints=[-1]>() a = Reshape(h, k) b = Reshape(x, k) v = Concat<axis=0>(a, b)",
    )
    assert layout(model, name)[0] == expected
    assert layout(model, "x")[0] == 0


BATCH = (
    "s = Shape(x) z = Constant<value_int=0>() b = Gather<axis=0>(s, z) a0 = Constant<value_ints=[0]>() "
    "n = Unsqueeze(b, a0)"
)
TO_TOKEN = "r = Constant<value_ints=[1,8]>() e = Concat<axis=0>(n, r)"
CLASS_TOKENS = {
    "expand": f"{BATCH} {TO_TOKEN} tok = Expand(t, e)",
    "expand-where": f"{BATCH} m1 = Constant<value_ints=[-1]>() c = Concat<axis=0>(n, m1, m1) "
    "k = Constant<value_ints=[3]>() ones = ConstantOfShape<value = int64[1] {1}>(k) neg = Mul(ones, m1) "
    "q = Equal(c, neg) e = Where(q, ones, c) tok = Expand(t, e)",
    "tile": f"{BATCH} r = Constant<value_ints=[1,1]>() e = Concat<axis=0>(n, r) tok = Tile(t, e)",
    "slice-of-shape": "s = Shape(p) z = Constant<value_ints=[0]>() o = Constant<value_ints=[1]>() n = Slice(s, z, o) "
    f"{TO_TOKEN} tok = Expand(t, e)",
    "zeros": f"{BATCH} {TO_TOKEN} zeros = ConstantOfShape(e) tok = Add(zeros, t)",
    "broadcast": "z = Constant<value_ints=[0]>() o = Constant<value_ints=[1]>() one = Slice(p, z, o, o) "
    "d = Sub(one, one) tok = Add(d, t)",
}
"""Ways in which exporters give every sample a class token."""


@pytest.mark.parametrize("way", CLASS_TOKENS)
def test_a_class_token_keeps_the_batch(way: str) -> None:
    weights = f"float[8,3,1,1] w = {{{','.join(['1'] * 24)}}}, float[1,1,8] t = {{{','.join(['1'] * 8)}}}"
    body = (
        "c0 = Conv(x, w) ns = Constant<value_ints=[0,8,-1]>() f = Reshape(c0, ns) p = Transpose<perm=[0,2,1]>(f) "
        f"{CLASS_TOKENS[way]} cat = Concat<axis=1>(tok, p) v = Relu(cat)"
    )
    model = parse(MAP, body, weights)
    shapes = {spec.name: spec.shape for spec in model.values}
    assert shapes["v"][0] == shapes["cat"][0] == "N"
    assert layout(model) == (0, 2, True)
    names = [cut.names for cut in graph.enumerate_cuts(model, 1).candidates]
    assert {("cat",), ("v",)} <= set(names)
