"""Float16 graphs computed in real float16, against NumPy node by node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest

from splitc import graph
from splitc.evaluate import open_graph, open_optimized
from splitc.passes import computes_in_float16, first_not_finite, float16_arithmetic

F16 = np.float16
HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
BORDER = np.array([65504, 65519.99, 65520, 7e4, -65504, -1e9, 6e-8, 2.9e-8, 3.1e-8, -6e-8, 1e-12, 0, 1, np.pi], "f4")


def loaded(text: str, **weights: np.ndarray) -> ir.Model:
    proto = onnx.parser.parse_model(f"{HEAD} {text}")
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in weights.items())
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def numbers(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(F16)


def f32(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array.astype(np.float32) for array in arrays)


@pytest.fixture(params=[open_graph, open_optimized], ids=["node-by-node", "optimized"])
def run(request: pytest.FixtureRequest) -> Callable[..., np.ndarray]:
    def first_output(model: ir.Model, **feeds: np.ndarray) -> np.ndarray:
        return next(iter(request.param(model).run(feeds).values()))

    return first_output


BINARY = [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)]
UNARY = [
    ("Exp", lambda x: np.exp(x)),
    ("Sqrt", lambda x: np.sqrt(x)),
    ("Reciprocal", lambda x: np.float32(1) / x),
    ("Sigmoid", lambda x: 1 / (1 + np.exp(-x.astype(np.float64)))),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("kind", "numpy"), BINARY)
@pytest.mark.parametrize("scale", [1.0, 300.0, 1e-4], ids=["usual", "overflowing", "subnormal"])
def test_binary_operators_round_as_numpy_does(run: Callable, kind: str, numpy: Callable, scale: float) -> None:
    model = loaded(f"g (float16[n] a, float16[n] b) => (float16[n] y) {{ y = {kind}(a, b) }}")
    a, b = numbers(4096, scale=scale), numbers(4096, scale=scale, seed=1)
    np.testing.assert_array_equal(run(model, a=a, b=b), numpy(a, b))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("kind", "numpy"), UNARY)
def test_unary_operators_are_within_a_rounding(run: Callable, kind: str, numpy: Callable) -> None:
    """Libraries compute them in float32 within an ulp of float32, which moves few results by one float16."""
    model = loaded(f"g (float16[n] a) => (float16[n] y) {{ y = {kind}(a) }}")
    a = np.abs(numbers(4096, scale=8))
    wanted, got = numpy(a.astype(np.float32)).astype(F16), run(model, a=a)
    np.testing.assert_array_equal(np.isfinite(wanted), np.isfinite(got))
    finite = np.isfinite(wanted)
    assert np.mean(wanted[finite] != got[finite]) < 0.01
    np.testing.assert_allclose(*f32(got[finite], wanted[finite]), rtol=2**-10, atol=2**-24)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_cast_rounds_overflows_and_keeps_subnormals(run: Callable) -> None:
    text = "g (float[n] a) => (float[n] y) { h = Cast<to = 10>(a) z = Identity(h) y = Cast<to = 1>(z) }"
    np.testing.assert_array_equal(run(loaded(text), a=BORDER), BORDER.astype(F16).astype(np.float32))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_step_of_a_chain_is_rounded(run: Callable) -> None:
    """ONNX Runtime by itself keeps float32 between the steps: no overflow, and 1 + 2^-12 survives."""
    model = loaded("g (float16[n] a) => (float16[n] y) { s = Mul(a, a) r = Sqrt(s) t = Add(r, r) y = Sub(t, a) }")
    a = np.array([300, 1 + 2**-10, 3e-4, 7], F16)
    root = np.sqrt(a * a)
    wanted = root + root - a
    assert np.isinf(wanted[0])
    np.testing.assert_array_equal(run(model, a=a), wanted)
    session = ort.InferenceSession(graph.to_bytes(model), providers=["CPUExecutionProvider"])
    assert np.isfinite(session.run(None, {"a": a})[0]).all()  # the fault that this arithmetic is for


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def instance_norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)


ONES = np.ones(8, F16)
COMPOSITE = [
    pytest.param("Softmax<axis = -1>(a)", softmax, {}, id="softmax"),
    pytest.param("ReduceSum<keepdims = 1>(a, axes)", lambda x: x.sum(-1, keepdims=True), {}, id="reduce-sum"),
    pytest.param("LayerNormalization<axis = -1>(a, s)", layer_norm, {"s": ONES}, id="layer-norm"),
    pytest.param("InstanceNormalization(a, s, z)", instance_norm, {"s": ONES, "z": 0 * ONES}, id="instance-norm"),
    pytest.param(
        "MatMul(a, w)", lambda x: x @ f32(numbers(8, 8, seed=5))[0], {"w": numbers(8, 8, seed=5)}, id="matmul"
    ),
    pytest.param(
        "Conv(a, k)",
        lambda x: np.einsum("nchw,oc->nohw", x, f32(numbers(8, 8, seed=6))[0]),
        {"k": numbers(8, 8, seed=6).reshape(8, 8, 1, 1)},
        id="conv",
    ),
]


@pytest.mark.parametrize(("expression", "numpy", "weights"), COMPOSITE)
def test_composite_operators_round_their_result_once(
    run: Callable, expression: str, numpy: Callable, weights: dict[str, np.ndarray]
) -> None:
    """Sums inside one operator are float32; the order of their terms moves few results by one float16."""
    if "axes" in expression:
        weights = {**weights, "axes": np.array([-1])}
    model = loaded(f"g (float16[2, 8, 8, 8] a) => (float16[p, q, r, s_] y) {{ y = {expression} }}", **weights)
    a = numbers(2, 8, 8, 8, scale=30)
    got, wanted = run(model, a=a), numpy(a.astype(np.float64))
    np.testing.assert_allclose(*f32(got), wanted, rtol=2**-11 + 2**-17, atol=2**-13)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sums_and_quotients_overflow(run: Callable) -> None:
    model = loaded(
        "g (float16[1, n] a, float16[1, n] b) => (float16[1, m] y) "
        "{ s = ReduceSum<keepdims = 1>(a, axes) q = Div(a, b) y = Add(s, q) }",
        axes=np.array([1]),
    )
    a, b = np.full((1, 100), 700, F16), np.full((1, 100), 1, F16)
    assert np.isposinf(run(model, a=a, b=b)).all()  # 70,000
    np.testing.assert_array_equal(run(model, a=a[:, :90], b=b[:, :90] * F16(6e-8)), np.full((1, 90), np.inf, F16))


def test_ports_keep_names_and_types() -> None:
    text = "g (float16[n] a) => (float16[n] y, float16[n] z) { y = Exp(a) z = Relu(y) }"
    model = loaded(text)
    ports = [(value.name, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]
    changed = float16_arithmetic(model)
    assert [(value.name, value.dtype) for value in (*changed.graph.inputs, *changed.graph.outputs)] == ports
    assert computes_in_float16(model)
    assert {value.dtype for node in model.graph for value in node.outputs} == {ir.DataType.FLOAT16}  # left as it was


def test_taken_names_are_no_fault(run: Callable) -> None:
    text = "g (float16[n] a) => (float16[n] y) { x = Exp(a) b = Add(x, %s) y = Sqrt(b) }" % "x"  # noqa: UP031
    model = loaded(text.replace("b", '"x/float16"'))
    a = numbers(16)
    got = run(model, a=a)
    np.testing.assert_allclose(*f32(got), np.sqrt(2 * np.exp(a.astype(np.float64))), rtol=2**-9)


BRANCHES = """
g (float16[n] a, bool c) => (float16[n] y) {
  b = Mul(a, a)
  d = If (c) <
    then_branch = then () => (float16[n] t) { t = Add(b, b) },
    else_branch = else () => (float16[n] e) { e = Identity(b) }
  >
  y = Sqrt(d)
}
"""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("taken", [True, False])
def test_branches_round_too(run: Callable, taken: bool) -> None:
    a = np.array([200, 3, 1e-3, 0.1], F16)
    square = a * a
    wanted = np.sqrt(square + square if taken else square)
    assert np.isinf(wanted[0]) == taken
    np.testing.assert_array_equal(run(loaded(BRANCHES), a=a, c=np.array(taken)), wanted)


def test_float32_parts_stay_float32(run: Callable) -> None:
    text = "g (float[n] a) => (float[n] y) { h = Cast<to = 10>(a) r = Relu(h) w = Cast<to = 1>(r) y = Mul(w, w) }"
    a = np.array([300.0, 2.5], np.float32)
    np.testing.assert_array_equal(run(loaded(text), a=a), a * a)


def test_results_that_are_not_asked_for_stay_so(run: Callable) -> None:
    body = 'q, "", c = LSTM<hidden_size = 1>(a, w, r) y = Squeeze(c)'
    weights = {"w": numbers(1, 4, 3), "r": numbers(1, 4, 1, seed=2)}
    model = loaded(f"g (float16[5, 1, 3] a) => (float16[] y) {{ {body} }}", **weights)
    assert np.isfinite(run(model, a=numbers(5, 1, 3)))


def test_a_model_without_float16_is_left_alone() -> None:
    model = loaded("g (float[n] a) => (float[n] y) { y = Relu(a) }")
    assert not computes_in_float16(model)
    assert float16_arithmetic(model) is model


def test_the_first_node_that_leaves_the_numbers_is_named() -> None:
    model = loaded("g (float16[n] a) => (float16[n] y) { [sq] s = Mul(a, a) [rt] r = Sqrt(s) [df] y = Sub(r, r) }")
    fault = first_not_finite(model, {"a": np.array([300], F16)})
    assert fault is not None
    assert (fault.node, fault.tensor) == (model.graph[0].name, "s")
    assert first_not_finite(model, {"a": np.array([200], F16)}) is None
