"""Sizes behind Resize and Upsample, as ONNX Runtime runs them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from splitc import graph

SCALES = (0.35, 0.7, 0.9, 1.1, 1.3, 1.4, 2.3, 1 / 3, 2.0)


def resizing(scales: list[list[float]], size: int, opset: int = 17, kind: str = "initializer") -> onnx.ModelProto:
    """Relu, then one Resize for each list of factors, then Neg."""
    nodes = [helper.make_node("Relu", ["x"], ["v0"])]
    weights = []
    for at, factors in enumerate(scales):
        name, axes = f"s{at}", {"axes": [-1, 2]} if len(factors) == 2 else {}
        if kind == "initializer":
            weights.append(numpy_helper.from_array(np.array(factors, np.float32), name))
        else:
            nodes.append(helper.make_node("Constant", [], [name], value_floats=factors))
        operator, operands = ("Upsample", [name]) if opset < 10 else ("Resize", [name] if opset == 10 else ["", name])
        nodes.append(helper.make_node(operator, [f"v{at}", *operands], [f"v{at + 1}"], mode="nearest", **axes))
    nodes.append(helper.make_node("Neg", [f"v{len(scales)}"], ["y"]))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, size, size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)
    made = helper.make_graph(nodes, "g", [x], [y], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ran(model: onnx.ModelProto, size: int) -> tuple[int, ...]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return tuple(session.run(None, {"x": np.zeros((1, 2, size, size), np.float32)})[0].shape)


def inferred(model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> tuple[int | str, ...]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(model, path)
    return graph.load(path).outputs[0].shape


@pytest.mark.parametrize("size", [5, 10, 20, 60, 63])
@pytest.mark.parametrize("scale", SCALES)
def test_a_factor_gives_the_size_that_is_run(scale: float, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = resizing([[1, 1, scale, scale]], size)
    assert inferred(model, tmp_path_factory) == ran(model, size)


@pytest.mark.parametrize(
    ("scales", "opset", "kind"),
    [
        pytest.param([[1, 1, 0.7, 1.3]], 9 + 1, "initializer", id="resize-10"),
        pytest.param([[1, 1, 1.4, 1.3]], 9, "initializer", id="upsample-9"),
        pytest.param([[0.9, 0.7]], 18, "initializer", id="axes"),
        pytest.param([[1, 1, 0.7, 0.9]], 17, "constant", id="constant-node"),
        pytest.param([[1, 1, 0.7, 0.7], [1, 1, 1.3, 0.9], [1, 1, 1.4, 1.4]], 17, "initializer", id="in-a-row"),
    ],
)
def test_every_form_of_a_factor(
    scales: list[list[float]], opset: int, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = resizing(scales, 100, opset, kind)
    assert inferred(model, tmp_path_factory) == ran(model, 100)


def test_factors_in_the_model_stay(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(resizing([[1, 1, 0.7, 0.7]], 10), path)
    scales = graph.load(path).ir_model.graph.initializers["s0"].const_value
    assert scales is not None
    np.testing.assert_array_equal(scales.numpy(), np.array([1, 1, 0.7, 0.7], np.float32))
