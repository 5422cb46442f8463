"""INT8 and FP16 halves: where Q/DQ stands, what stays as it was, and how near the answers are."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest

from splitc import graph
from splitc.errors import GraphError
from splitc.passes import QuantizeStatic, ToFloat16
from splitc.types import Feeds

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] feature) <float[4, 3, 3, 3] w, float[4] b, float[4, 4, 1, 1] v> {
  y = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w, b)
  z = Relu(y)
  feature = Conv<kernel_shape = [1, 1]>(z, v)
}
"""


@pytest.fixture
def model() -> ir.Model:
    proto = onnx.parser.parse_model(TEXT.replace("<float[4, 3, 3, 3] w, float[4] b, float[4, 4, 1, 1] v> ", ""))
    random = np.random.default_rng(3)
    for name, shape in (("w", (4, 3, 3, 3)), ("b", (4,)), ("v", (4, 4, 1, 1))):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(random.standard_normal(shape).astype("f4"), name))
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


PASSES = {"int8": QuantizeStatic, "fp16": ToFloat16}


@pytest.fixture
def feeds() -> list[Feeds]:
    random = np.random.default_rng(4)
    return [{"x": random.standard_normal((1, 3, 8, 8)).astype(np.float32)} for _ in range(8)]


def answers(model: ir.Model, feeds: list[Feeds]) -> np.ndarray:
    session = ort.InferenceSession(graph.to_bytes(model), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, dict(one))[0] for one in feeds])


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.05), ("fp16", 0.002)])
def test_answers_stay_near(precision: str, most: float, model: ir.Model, feeds: list[Feeds]) -> None:
    result = PASSES[precision](feeds)(model)
    assert result.changed
    exact, lowered = answers(model, feeds), answers(result.model, feeds)
    error = np.linalg.norm(exact - lowered) / np.linalg.norm(exact)
    assert 0 < error < most  # a step of INT8 is 1/127 of the range, and two layers add theirs


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_ports_stay_as_they_are(precision: str, model: ir.Model, feeds: list[Feeds]) -> None:
    before = [(value.name, value.dtype, value.shape) for value in (*model.graph.inputs, *model.graph.outputs)]
    lowered = PASSES[precision](feeds)(model).model
    assert [
        (value.name, value.dtype, value.shape) for value in (*lowered.graph.inputs, *lowered.graph.outputs)
    ] == before


def test_the_output_is_not_dequantized_and_biases_are_float(model: ir.Model, feeds: list[Feeds]) -> None:
    lowered = QuantizeStatic(feeds)(model).model
    producer = lowered.graph.outputs[0].producer()
    assert producer is not None
    assert producer.op_type == "Conv"
    types = {
        value.dtype
        for value in lowered.graph.initializers.values()
        if value.shape is not None and len(value.shape) == 4
    }
    assert types == {ir.DataType.INT8}
    assert lowered.graph.initializers["b"].dtype == ir.DataType.FLOAT
    zeros = [node.inputs[2] for node in lowered.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert all(zero is None or not zero.const_value.numpy().any() for zero in zeros)


def test_fp16_is_stored(model: ir.Model) -> None:
    lowered = ToFloat16()(model).model
    assert {value.dtype for value in lowered.graph.initializers.values()} == {ir.DataType.FLOAT16}


def test_nothing_to_quantize() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))).ir_model
    result = QuantizeStatic([])(model)
    assert not result.changed
    assert "nothing to quantize" in result.notes[0]


def test_samples_that_do_not_fit(model: ir.Model) -> None:
    with pytest.raises(GraphError, match=r"calibration samples do not run through the graph \(.*\)"):
        QuantizeStatic([{"x": np.zeros((1, 5), np.float32)}])(model)
