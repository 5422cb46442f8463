"""Every converted operator gives what ONNX Runtime gives, and what is not converted is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

torch = pytest.importorskip("torch")

from train_graphs import graph_of, random_tensor  # noqa: E402

from splitc import evaluate, graph  # noqa: E402
from splitc.errors import CapabilityError  # noqa: E402
from splitc.train import TorchNetwork, unconverted_nodes, with_weights  # noqa: E402

X = "float[1,4,7,9] x"
W = {"w": random_tensor(6, 4, 3, 3, seed=1), "b": random_tensor(6, seed=2)}
INTS = {"one": np.array([1]), "two": np.array([2]), "last": np.array([-1]), "far": np.array([-(2**40)])}
CASES: list[Any] = [
    pytest.param("y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)", W, id="conv"),
    pytest.param("y = Conv<pads=[0,1,2,1]>(x, w, b)", W, id="conv-uneven"),
    pytest.param('y = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w)', W, id="conv-same-upper"),
    pytest.param('y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)', W, id="conv-same-lower"),
    pytest.param("y = Conv<group=4>(x, w)", {"w": random_tensor(8, 1, 3, 3)}, id="conv-depthwise"),
    pytest.param("y = Conv<dilations=[2,2]>(x, w)", W, id="conv-dilated"),
    pytest.param(
        "y = ConvTranspose<strides=[2,2], pads=[0,1,1,0], output_padding=[1,1]>(x, w)",
        {"w": random_tensor(4, 3, 3, 3)},
        id="conv-transpose",
    ),
    pytest.param("y = MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)", {}, id="max-pool"),
    pytest.param("y = MaxPool<kernel_shape=[2,2], strides=[2,2], pads=[0,0,1,1]>(x)", {}, id="max-pool-uneven"),
    pytest.param("y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)", {}, id="max-pool-ceil"),
    pytest.param("y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)", {}, id="average-pool"),
    pytest.param(
        "y = AveragePool<kernel_shape=[2,2], pads=[0,0,1,1], count_include_pad=1>(x)", {}, id="average-with-pads"
    ),
    pytest.param("y = AveragePool<kernel_shape=[2,2], pads=[0,0,1,1]>(x)", {}, id="average-uneven"),
    pytest.param("y = GlobalAveragePool(x)", {}, id="global-average"),
    pytest.param("y = GlobalMaxPool(x)", {}, id="global-max"),
    pytest.param(
        "y = BatchNormalization<epsilon=0.01>(x, a, b, c, d)",
        {name: np.abs(random_tensor(4, seed=seed)) for seed, name in enumerate("abcd")},
        id="batch-norm",
    ),
    pytest.param("y = InstanceNormalization(x, a, a)", {"a": random_tensor(4)}, id="instance-norm"),
    pytest.param("y = LayerNormalization<axis=-1>(x, a, a)", {"a": random_tensor(9)}, id="layer-norm"),
    *(pytest.param(f"y = {kind}(x)", {}, id=kind) for kind in ("Relu", "Sigmoid", "Tanh", "Erf", "Softplus", "Abs")),
    *(pytest.param(f"y = {kind}(x)", {}, id=kind) for kind in ("HardSwish", "Neg", "Exp", "Floor", "Ceil", "Sin")),
    pytest.param(
        "a = Abs(x) b = Sqrt(a) c = Add(b, k) d = Log(c) e = Reciprocal(c) y = Sub(d, e)",
        {"k": np.float32(0.5)},
        id="sqrt-log-reciprocal",
    ),
    pytest.param("y = LeakyRelu<alpha=0.2>(x)", {}, id="leaky"),
    pytest.param("y = Elu<alpha=0.5>(x)", {}, id="elu"),
    pytest.param("y = PRelu(x, a)", {"a": random_tensor(4, 1, 1)}, id="prelu"),
    pytest.param("y = HardSigmoid<alpha=0.3, beta=0.4>(x)", {}, id="hard-sigmoid"),
    pytest.param("y = Clip(x, a, b)", {"a": np.float32(-0.5), "b": np.float32(0.7)}, id="clip"),
    pytest.param("y = Clip(x, , b)", {"b": np.float32(0.7)}, id="clip-above"),
    pytest.param("y = Softmax<axis=1>(x)", {}, id="softmax"),
    pytest.param("y = LogSoftmax(x)", {}, id="log-softmax"),
    pytest.param("a = Add(x, c) b = Sub(a, x) d = Mul(b, x) y = Div(d, c)", {"c": random_tensor(4, 1, 1)}, id="maths"),
    pytest.param(
        "a = Max(x, c) b = Min(a, d) y = Sum(a, b, x)", {"c": random_tensor(9), "d": random_tensor(1)}, id="max"
    ),
    pytest.param("y = Pow(x, two)", {"two": np.float32(2)}, id="pow"),
    pytest.param("a = Greater(x, c) y = Where(a, x, c)", {"c": np.float32(0.1)}, id="where"),
    pytest.param("y = MatMul(x, m)", {"m": random_tensor(9, 5)}, id="matmul"),
    pytest.param(
        "a = Flatten(x) y = Gemm<alpha=0.5, beta=2.0, transB=1>(a, m, c)",
        {"m": random_tensor(3, 252), "c": random_tensor(3)},
        id="gemm",
    ),
    pytest.param("y = ReduceMean<axes=[2,3], keepdims=0>(x)", {}, id="reduce-mean"),
    pytest.param("y = ReduceMax<axes=[-1]>(x)", {}, id="reduce-max"),
    pytest.param("y = ReduceSum(x, two)", INTS, id="reduce-sum"),
    pytest.param("a = Flatten<axis=2>(x) y = Unsqueeze(a, one)", INTS, id="flatten"),
    pytest.param("y = Reshape(x, s)", {"s": np.array([0, 2, -1, 9])}, id="reshape"),
    pytest.param("y = Transpose<perm=[0,2,3,1]>(x)", {}, id="transpose"),
    pytest.param("y = Transpose(x)", {}, id="transpose-all"),
    pytest.param("a = ReduceMean<axes=[1]>(x) y = Squeeze(a, one)", INTS, id="squeeze"),
    pytest.param("y = Concat<axis=1>(x, x)", {}, id="concat"),
    pytest.param("a, b = Split<axis=1>(x, s) y = Concat<axis=1>(b, a)", {"s": np.array([1, 3])}, id="split"),
    pytest.param("a, b = Split<axis=1>(x) y = Sub(b, a)", {}, id="split-equal"),
    pytest.param("y = Slice(x, one, last, two)", INTS, id="slice"),
    pytest.param("y = Slice(x, last, far, two, last)", INTS, id="slice-backwards"),
    pytest.param("y = Gather<axis=1>(x, i)", {"i": np.array([[3, -1], [0, 2]])}, id="gather"),
    pytest.param("y = Pad(x, p, v)", {"p": np.array([0, 1, 2, 0, 0, 0, 1, 3]), "v": np.float32(2)}, id="pad"),
    pytest.param('y = Pad<mode="edge">(x, p)', {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, id="pad-edge"),
    pytest.param('y = Pad<mode="reflect">(x, p)', {"p": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, id="pad-reflect"),
    pytest.param("a = Shape(x) b = ConstantOfShape(a) y = Add(b, x)", {}, id="shape"),
    pytest.param("a = Expand(c, s) y = Add(a, x)", {"c": random_tensor(9), "s": np.array([4, 7, 9])}, id="expand"),
    pytest.param("y = Tile(x, s)", {"s": np.array([1, 2, 1, 3])}, id="tile"),
    pytest.param(
        "a = Range(z, n, o) b = Cast<to=1>(a) y = Add(x, b)",
        {"z": np.array(0), "n": np.array(9), "o": np.array(1)},
        id="range",
    ),
    pytest.param('y = DepthToSpace<blocksize=2, mode="CRD">(x)', {}, id="depth-to-space"),
    pytest.param('y = DepthToSpace<blocksize=2, mode="DCR">(x)', {}, id="depth-to-space-dcr"),
    *(
        pytest.param(
            f'y = Resize<mode="nearest", coordinate_transformation_mode="{grid}", nearest_mode="{rounds}">(x, , s)',
            {"s": np.array([1, 1, 2, 1.5], np.float32)},
            id=f"resize-{grid}-{rounds}",
        )
        for grid, rounds in [("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("align_corners", "ceil")]
    ),
    *(
        pytest.param(
            f'y = Resize<mode="linear", coordinate_transformation_mode="{grid}">(x, , , s)',
            {"s": np.array([1, 4, 14, 12])},
            id=f"resize-linear-{grid}",
        )
        for grid in ("half_pixel", "align_corners")
    ),
]


def runtime_answer(model: ir.Model, x: np.ndarray) -> np.ndarray:
    return evaluate.open_graph(model).run({"x": x})["y"]


@pytest.mark.parametrize(("body", "weights"), CASES)
def test_an_operator_gives_what_onnx_runtime_gives(body: str, weights: dict[str, np.ndarray]) -> None:
    model, x = graph_of(body, X, **weights), random_tensor(1, 4, 7, 9)
    with torch.no_grad():
        found = TorchNetwork(model)({"x": torch.from_numpy(x)})["y"].numpy()
    expected = runtime_answer(model, x)
    assert found.shape == expected.shape
    # float32 sums of up to 252 products of order 1, in another order
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


OLD = [
    pytest.param("y = Slice<starts=[1], ends=[-1], axes=[2]>(x)", 9, id="slice"),
    pytest.param("y = Clip<min=-0.5>(x)", 9, id="clip"),
    pytest.param("y = Pad<pads=[0,0,1,1,0,0,1,1], value=3.0>(x)", 9, id="pad"),
    pytest.param("y = Softmax(x)", 9, id="softmax"),
    pytest.param("y = Unsqueeze<axes=[0]>(x)", 9, id="unsqueeze"),
    pytest.param("y = Upsample(x, s)", 9, id="upsample"),
    pytest.param("y = ReduceSum<axes=[1]>(x)", 9, id="reduce-sum"),
]


@pytest.mark.parametrize(("body", "opset"), OLD)
def test_older_forms_of_operators(body: str, opset: int) -> None:
    model = graph_of(body, X, opset=opset, s=np.array([1, 1, 2, 2], np.float32))
    x = random_tensor(1, 4, 7, 9)
    with torch.no_grad():
        found = TorchNetwork(model)({"x": torch.from_numpy(x)})["y"].numpy()
    np.testing.assert_allclose(found, runtime_answer(model, x), rtol=2e-5, atol=2e-5)  # as above


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("y = Hardmax(x)", "Hardmax", id="operator"),
        pytest.param('y = Resize<mode="cubic">(x, , s)', "mode 'cubic' is not converted", id="mode"),
        pytest.param("y, i = MaxPool<kernel_shape=[2,2]>(x)", "only its first output", id="indices"),
    ],
)
def test_what_is_not_converted_is_named(body: str, said: str) -> None:
    model = graph_of(body, X, s=np.array([1, 1, 2, 2], np.float32))
    assert len(unconverted_nodes(model)) == 1
    with pytest.raises(CapabilityError, match=said):
        TorchNetwork(model)


def test_weights_go_back_by_name() -> None:
    model = graph_of("y = Conv(x, w, b)", X, **W)
    network = TorchNetwork(model)
    doubled = {name: 2 * values for name, values in network.weights().items()}
    x = random_tensor(1, 4, 7, 9)
    changed = with_weights(model, doubled)
    np.testing.assert_allclose(runtime_answer(changed, x), 2 * runtime_answer(model, x), rtol=1e-5, atol=1e-5)
    assert runtime_answer(model, x) is not None
    assert np.array_equal(graph.from_bytes(graph.to_bytes(model)).graph.initializers["w"].const_value.numpy(), W["w"])
