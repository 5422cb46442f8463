"""Gradients as graphs: every rule against differences, and what has none is refused by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from splitc import evaluate, graph
from splitc.errors import GraphError
from splitc.gradients import PULL, gradient_model
from splitc.gradients.backward import RULES
from splitc.types import Array, Feeds

BY_VALUE = {
    name: f"y = {name}(x)"
    for name in [
        "Identity",
        "Relu",
        "LeakyRelu",
        "Neg",
        "Abs",
        "Exp",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Erf",
        "HardSigmoid",
        "HardSwish",
        "Softmax",
        "LogSoftmax",
    ]
} | {
    "LeakyRelu-slope": "y = LeakyRelu <alpha = 0.3>(x)",
    "HardSigmoid-slope": "y = HardSigmoid <alpha = 0.5, beta = 0.407>(x)",
    "Log": "a = Exp(x) y = Log(a)",
    "Sqrt": "a = Exp(x) y = Sqrt(a)",
    "Reciprocal": "a = Exp(x) y = Reciprocal(a)",
    "Dropout": "y = Dropout(x)",
    "Cast": "a = Cast <to = 11>(x) y = Cast <to = 1>(a)",
    "Softmax-axis": "y = Softmax <axis = 1>(x)",
    "Clip": "low = Constant <value = float {-0.5}>() high = Constant <value = float {0.7}>() y = Clip(x, low, high)",
    "Pow": "a = Exp(x) e = Constant <value = float {2.5}>() y = Pow(a, e)",
    "PRelu": "s = Constant <value = float[3,1,1] {0.1, 0.2, 0.3}>() y = PRelu(x, s)",
    "Swish": "a = Sigmoid(x) y = Mul(a, x)",
    "Twice": "a = Exp(x) b = Add(a, x) y = Mul(a, b)",
    "Max": "a = Neg(x) y = Max(a, x)",
    "Min": "a = Neg(x) y = Min(a, x)",
    "Where": "z = Constant <value = float {0.1}>() c = Less(x, z) a = Exp(x) b = Neg(x) y = Where(c, a, b)",
}
REPEATED = {
    "Add": "a = Constant <value_ints = [2, 3]>() m = ReduceMean <axes = [2, 3]>(x) y = Add(x, m)",
    "Sub": "m = ReduceMean <axes = [1]>(x) y = Sub(m, x)",
    "Mul": "m = ReduceMean <axes = [0, 3]>(x) y = Mul(m, x)",
    "Div": "m = ReduceMean <axes = [2]>(x) e = Exp(m) y = Div(x, e)",
    "Expand": "m = ReduceMean <axes = [3]>(x) s = Constant <value_ints = [2, 3, 4, 5]>() y = Expand(m, s)",
    "Sum-lost": "a = Constant <value_ints = [1, 3]>() y = ReduceSum <keepdims = 0>(x, a)",
    "Sum-all": "y = ReduceSum(x)",
    "Mean-lost": "y = ReduceMean <axes = [-1], keepdims = 0>(x)",
    "GlobalAveragePool": "y = GlobalAveragePool(x)",
    "GlobalMaxPool": "y = GlobalMaxPool(x)",
}
SHAPED = {
    "Reshape": "s = Constant <value_ints = [3, -1]>() y = Reshape(x, s)",
    "Flatten": "y = Flatten(x)",
    "Unsqueeze": "a = Constant <value_ints = [1]>() y = Unsqueeze(x, a)",
    "Squeeze": "a = Constant <value_ints = [0]>() u = Unsqueeze(x, a) y = Squeeze(u, a)",
    "Transpose": "y = Transpose <perm = [1, 3, 0, 2]>(x)",
    "Transpose-all": "y = Transpose(x)",
    "Concat": "a = Exp(x) c = Constant <value = float[1,1,4,5] {"
    + ", ".join(["0"] * 20)
    + "}>() y = Concat <axis = 1>(c, a, x)",
    "Split": "s = Constant <value_ints = [1, 2]>() a, b = Split <axis = 1>(x, s) e = Exp(b) y = Mul(a, e)",
    "Split-unused": "s = Constant <value_ints = [1, 2]>() a, b = Split <axis = 1>(x, s) y = Exp(b)",
    "Slice": "s = Constant <value_ints = [1, -3]>() e = Constant <value_ints = [3, 9]>() "
    "a = Constant <value_ints = [2, 3]>() y = Slice(x, s, e, a)",
    "Slice-steps": "s = Constant <value_ints = [1, 0]>() e = Constant <value_ints = [4, 5]>() "
    "a = Constant <value_ints = [2, -1]>() t = Constant <value_ints = [2, 3]>() y = Slice(x, s, e, a, t)",
    "Pad": "p = Constant <value_ints = [0, 0, 1, 2, 0, 0, 0, 3]>() y = Pad(x, p)",
    "Gather": "i = Constant <value_int = -2>() y = Gather <axis = 3>(x, i)",
    "Gather-some": "i = Constant <value_ints = [1, 2]>() y = Gather <axis = 2>(x, i)",
    "Resize": "r = Constant <value_floats = [0.0]>() s = Constant <value_floats = [1.0, 1.0, 2.0, 3.0]>() "
    'e = Constant <value = float[0] {}>() y = Resize <mode = "nearest">(x, e, s)',
}
WINDOWS = {
    "MaxPool": "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]>(x)",
    "MaxPool-over": "y = MaxPool <kernel_shape = [3, 3], strides = [1, 1], pads = [1, 1, 1, 1]>(x)",
    "MaxPool-ceil": "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(x)",
    "AveragePool": "y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]>(x)",
    "AveragePool-padded": "y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(x)",
    "AveragePool-with-pad": "y = AveragePool <kernel_shape = [3, 2], pads = [1, 0, 1, 1], count_include_pad = 1>(x)",
}
GRAPHS = BY_VALUE | REPEATED | SHAPED | WINDOWS
X = (1, 3, 4, 5)


def model(text: str, opset: int = 17, weights: Mapping[str, Array] | None = None) -> ir.Model:
    shape = ",".join(map(str, X))
    weights = weights or {}
    made = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> net (float[{shape}] x) => (float y) {{ {text} }}'
    )
    made.graph.output[0].type.tensor_type.ClearField("shape")
    made.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return graph.model_from_ir(ir.from_proto(made)).ir_model


def some(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Values of either sign, all of them apart from each other, from zero and from the bends of every rule."""
    count = int(np.prod(shape))
    values = (np.arange(count) + 0.5) / count * 3.2 - 1.6
    return np.random.default_rng(seed).permutation(values).reshape(shape).astype(np.float32)


def slope(net: ir.Model, x: Array, pull: Array, along: Array) -> float:
    runner, small = evaluate.open_graph(net), np.float32(1 / 512)
    ends = [runner.run({"x": x + sign * small * along})["y"].astype(np.float64) for sign in (1, -1)]
    return float(((ends[0] - ends[1]) * pull).sum() / (2 * small))


def check(net: ir.Model) -> None:
    x = some(X)
    y = evaluate.open_graph(net).run({"x": x})["y"]
    pull = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    found = gradient_model(net, ["x"], ["y"], {"x": X})
    gradient = evaluate.open_graph(found.model).run({"x": x, f"{PULL}y": pull})[found.gradients[0]]
    assert gradient.shape == X
    for seed in range(3):
        along = np.random.default_rng(seed).normal(size=X).astype(np.float32)
        wanted = slope(net, x, pull, along)
        # differences of float32 over a step of 1/512, curved rules among them
        assert float((gradient * along).sum()) == pytest.approx(wanted, rel=0.01, abs=0.02)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_rule_is_the_slope(name: str) -> None:
    check(model(GRAPHS[name]))


CONVOLUTIONS = {
    "plain": ("", (4, 3, 3, 3)),
    "padded": ("pads = [1, 1, 1, 1]", (4, 3, 3, 3)),
    "strided": ("strides = [2, 2]", (4, 3, 2, 2)),
    "strided-padded": ("strides = [2, 3], pads = [1, 1, 1, 1]", (4, 3, 3, 3)),
    "unread-border": ("strides = [3, 3]", (4, 3, 1, 1)),
    "dilated": ("dilations = [2, 2], pads = [2, 2, 2, 2]", (4, 3, 3, 3)),
    "grouped": ("group = 3, pads = [0, 1, 0, 1]", (6, 1, 2, 3)),
    "same-upper": ('auto_pad = "SAME_UPPER", strides = [2, 2]', (4, 3, 3, 3)),
    "same-lower": ('auto_pad = "SAME_LOWER", strides = [2, 2]', (4, 3, 2, 2)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    how, shape = CONVOLUTIONS[name]
    check(model(f"y = Conv <{how}>(x, w)" if how else "y = Conv(x, w)", weights={"w": some(shape, 2)}))


@pytest.mark.parametrize("how", ["", "strides = [2, 2], output_padding = [1, 1]", "pads = [1, 1, 1, 1], group = 3"])
def test_transposed_convolutions(how: str) -> None:
    weight = some((3, 2, 3, 3), 3)
    check(model(f"y = ConvTranspose <{how}>(x, w)" if how else "y = ConvTranspose(x, w)", weights={"w": weight}))


@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm(turned: tuple[int, int]) -> None:
    rows = "[12, 5]" if not turned[0] else "[5, 12]"
    weight = some((4, 5) if turned[1] else (5, 4), 4)
    text = f"s = Constant <value_ints = {rows}>() a = Reshape(x, s) "
    text += f"y = Gemm <alpha = 0.5, transA = {turned[0]}, transB = {turned[1]}>(a, w)"
    check(model(text, weights={"w": weight}))


def test_attention() -> None:
    """Products of two computed matrices, repeated along the first axis."""
    text = "t = Transpose <perm = [0, 1, 3, 2]>(x) a = MatMul(x, t) s = Softmax(a) b = MatMul(s, x) "
    text += "m = ReduceMean <axes = [1]>(x) u = Transpose <perm = [0, 1, 3, 2]>(m) y = MatMul(b, u)"
    check(model(text))


def test_normalizations() -> None:
    row = {name: np.abs(some((3,), seed)) + 0.5 for seed, name in enumerate("smbv")}
    check(model("y = BatchNormalization(x, s, b, m, v)", weights=row))
    check(model("y = InstanceNormalization(x, s, b)", weights={name: row[name] for name in "sb"}))
    last = {"s": some((5,), 5), "b": some((5,), 6)}
    check(model("y = LayerNormalization <axis = -1>(x, s, b)", weights=last))
    gelu = "y = Gelu(x)"
    check(model(gelu, 20))


def test_rounding_is_passed_through() -> None:
    scale = {"s": np.float32(0.1).reshape(()), "z": np.uint8(128).reshape(())}
    net = model("q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = Exp(d)", weights=scale)
    found = gradient_model(net, ["x"], ["y"], {"x": X})
    x, pull = some(X), np.ones(X, np.float32)
    gradient = evaluate.open_graph(found.model).run({"x": x, f"{PULL}y": pull})[found.gradients[0]]
    np.testing.assert_allclose(gradient, np.exp(np.rint(x * 10) / 10), rtol=1e-5)


def test_an_old_opset_is_raised() -> None:
    check(model("y = MaxPool <kernel_shape = [2, 2]>(x)", 13))
    with pytest.raises(GraphError, match="gradients need opset 16, the graph has 11"):
        gradient_model(model("y = Exp(x)", 11), ["x"], ["y"], {"x": X})


def test_several_inputs_and_outputs() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> net (float[N,2] a, float[N,2] b) => (float[N,2] p, float[N,2] q)'
    made = onnx.parser.parse_model(text + " { p = Mul(a, b) q = Exp(a) }")
    net = graph.model_from_ir(ir.from_proto(made)).ir_model
    found = gradient_model(net, ["b", "a"], ["p", "q"], {"a": (3, 2), "b": (3, 2)})
    assert found.inputs == ("b", "a")
    feeds: Feeds = {name: some((3, 2), seed) for seed, name in enumerate(("a", "b", f"{PULL}p", f"{PULL}q"))}
    got = evaluate.open_graph(found.model).run(feeds)
    a, b, p, q = feeds.values()
    np.testing.assert_allclose(got[found.gradients[0]], p * a, rtol=1e-5)
    np.testing.assert_allclose(got[found.gradients[1]], p * b + q * np.exp(a), rtol=1e-5)


REFUSED = {
    "y = Ceil(x)": r"'.*' \(Ceil\) has no gradient here: no rule",
    "y = CumSum(x, i)": r"\(CumSum\) has no gradient here: no rule",
    'r = Constant <value = float[0] {}>() y = Resize <mode = "linear">(x, r, f)': "values between others",
    'y = Pad <mode = "reflect">(x, p)': "a border that repeats values",
    "y = Gather <axis = 3>(x, j)": "places that are no neighbours",
    "h = Cast <to = 10>(x) e = Exp(h) y = Cast <to = 1>(e)": "half precision",
    "i = Cast <to = 7>(x) y = Cast <to = 1>(i)": "no output that is read depends",
    "a = Constant <value = float[1,3,4,5] {0}>() y = Conv(a, x)": "a computed parameter",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_no_gradient_is_refused_by_name(text: str) -> None:
    weights = {
        "i": np.int64(1).reshape(()),
        "j": np.array([0, 3]),
        "f": np.array([1, 1, 2, 2], np.float32),
        "p": np.array([0, 0, 1, 1, 0, 0, 0, 0]),
    }
    used = {name: value for name, value in weights.items() if f" {name})" in text}
    if "Conv" in text:
        text = text.replace("[1,3,4,5] {0}", "[1,3,6,6] {" + ", ".join(["0.5"] * 108) + "}")
    with pytest.raises(GraphError, match=REFUSED[next(key for key in REFUSED if key[-12:] == text[-12:])]):
        gradient_model(model(text, weights=used), ["x"], ["y"], {"x": X})


def test_outputs_that_the_cut_does_not_reach_are_refused() -> None:
    net = model("y = Constant <value_floats = [1.0]>()")
    with pytest.raises(GraphError, match="no output that is read depends on the cut"):
        gradient_model(net, ["x"], ["y"], {"x": X})


def test_open_sizes_are_refused() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> net (float[N,2] x) => (float[N,1] y)'
    made = onnx.parser.parse_model(text + " { y = ReduceMean <axes = [1]>(x) }")
    net = graph.model_from_ir(ir.from_proto(made)).ir_model
    with pytest.raises(GraphError, match="sizes are open"):
        gradient_model(net, ["x"], ["y"], {"x": ("N", 2)})


def test_every_rule_is_tested() -> None:
    here = " ".join([*GRAPHS.values(), *CONVOLUTIONS, "Conv ConvTranspose Gemm MatMul BatchNormalization"])
    here += " InstanceNormalization LayerNormalization Gelu QuantizeLinear DequantizeLinear"
    assert [name for name in RULES if name not in here] == []
