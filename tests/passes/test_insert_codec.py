"""Quantizers inside the graphs give the symbols, and the features, that the host gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from splitc import graph
from splitc.codec import FittedTensor, QuantParams
from splitc.codec.quantizers import QUANTIZERS
from splitc.errors import CapabilityError, GraphError
from splitc.passes import InsertDequantizers, InsertQuantizers, float_head, float_tail, symbols_name
from splitc.types import F32, Array, TensorSpec

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,5,4] x) => (float[N,3,5,4] y) { feature = Abs(x)  y = Neg(feature) }
"""
SHAPES = {"x": ("N", 3, 5, 4)}
FEATURE = TensorSpec(name="feature", dtype="float32", shape=("N", 3, 5, 4))


def model(text: str = MODEL) -> graph.Model:
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def run(model: ir.Model, feeds: dict[str, Array]) -> list[Any]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, feeds)
    return outputs


def fitted(name: str, bits: int, scope: str, x: F32, reconstruction: str = "centroid") -> FittedTensor:
    quantizer = QUANTIZERS.make(name, {"bits": bits, "scope": scope, "reconstruction": reconstruction})
    return FittedTensor(FEATURE, quantizer, quantizer.fit(x), b"")


def hard_values(params: QuantParams, x: F32) -> F32:
    """Values at and next to every place where a symbol changes, and beyond both ends."""
    near = [x.ravel(), params.thresholds.ravel(), params.levels.ravel()]
    if params.thresholds.size == 0:
        halves = np.arange(-1, params.levels.shape[1] + 1, 0.5, dtype=np.float32)
        near.append((params.lo[:, None] + halves / params.scale[:, None]).ravel())
    some = np.abs(np.concatenate([*near, np.float32([0, 1e-30, 1e30])]).astype(np.float32))
    every = np.concatenate([some, np.nextafter(some, np.float32(np.inf)), np.nextafter(some, np.float32(0))])
    batch = -(-len(every) // 60)
    return np.resize(every, (batch * 3, 60)).reshape(-1, 3, 5, 4)


@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_graph_and_host_agree_symbol_for_symbol_and_bit_for_bit(name: str, bits: int, scope: str) -> None:
    x = np.abs(np.random.default_rng(bits).normal(size=(8, 3, 5, 4)) * [[[[1]], [[9]], [[0.01]]]]).astype(np.float32)
    tensor = fitted(name, bits, scope, x)
    halves = graph.split(model(), ["feature"])
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    values = hard_values(tensor.params, x)
    (symbols,) = run(head, {"x": values})
    assert symbols.dtype == np.uint8
    np.testing.assert_array_equal(symbols, tensor.quantizer.quantize(values, tensor.params))
    (answer,) = run(tail, {symbols_name("feature"): symbols})
    np.testing.assert_array_equal(-answer, tensor.quantizer.dequantize(symbols, tensor.params))


def test_only_a_cast_touches_the_uint8_wire() -> None:
    """TensorRT allows UINT8 at a network's edge, next to one Cast, and nowhere else."""
    tensor = fitted("log", 4, "channel", np.abs(np.random.default_rng(0).normal(size=(2, 3, 5, 4))).astype(np.float32))
    halves = graph.split(model(), ["feature"])
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    (output,), (entry,) = head.graph.outputs, tail.graph.inputs
    assert output.dtype == entry.dtype == ir.DataType.UINT8
    assert output.producer() is not None
    assert output.producer().op_type == "Cast"
    assert not output.uses()
    assert [use.node.op_type for use in entry.uses()] == ["Cast"]
    every = [value for part in (head, tail) for node in part.graph for value in node.outputs]
    assert [value.name for value in every if value.dtype == ir.DataType.UINT8] == [symbols_name("feature")]


@pytest.mark.parametrize("kind", ["float16", "double"])
def test_other_float_features_are_cast_and_cast_back(kind: str) -> None:
    text = MODEL.replace("Abs(x)", f"Cast<to = {10 if kind == 'float16' else 11}>(x)").replace(
        "y = Neg(feature)", "wide = Cast<to = 1>(feature)  y = Neg(wide)"
    )
    x = np.random.default_rng(1).normal(size=(4, 3, 5, 4)).astype(np.float32)
    whole = model(text)
    halves = graph.split(whole, ["feature"])
    assert halves.cut[0].dtype == ("float16" if kind == "float16" else "float64")
    quantizer = QUANTIZERS.make("uniform", {"bits": 8})
    tensor = FittedTensor(halves.cut[0], quantizer, quantizer.fit(x), b"")
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    (symbols,) = run(head, {"x": x})
    (answer,) = run(tail, {symbols_name("feature"): symbols})
    # half a step of 8 bits over a range of about 8, and float16's own 2**-11
    np.testing.assert_allclose(answer, -x, atol=8 / 255)


def test_several_tensors_keep_the_codecs_order() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,5,4] x) => (float[N,3,5,4] y) { a = Abs(x)  b = Neg(x)  y = Add(a, b) }
    """
    x = np.random.default_rng(2).normal(size=(3, 3, 5, 4)).astype(np.float32)
    halves = graph.split(model(text), ["b", "a"])
    quantizer = QUANTIZERS.make("uniform", {"bits": 6})
    sources = {"a": np.abs(x), "b": -x}
    tensors = [FittedTensor(spec, quantizer, quantizer.fit(sources[spec.name]), b"") for spec in halves.cut]
    head, tail = InsertQuantizers(tensors)(halves.head).model, InsertDequantizers(tensors)(halves.tail).model
    assert [value.name for value in head.graph.outputs] == ["b.symbols", "a.symbols"]
    assert [value.name for value in tail.graph.inputs] == ["b.symbols", "a.symbols"]
    symbols = run(head, {"x": x})
    for tensor, got in zip(tensors, symbols, strict=True):
        np.testing.assert_array_equal(got, quantizer.quantize(sources[tensor.spec.name], tensor.params))


def test_a_cut_value_that_is_an_output_too_is_quantized() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,5,4] x) => (float[N,3,5,4] feature, float[N,3,5,4] y) { feature = Abs(x)  y = Neg(feature) }
    """
    x = np.random.default_rng(3).normal(size=(2, 3, 5, 4)).astype(np.float32)
    tensor = fitted("uniform", 8, "tensor", np.abs(x))
    halves = graph.split(model(text), ["feature"])
    (symbols,) = run(InsertQuantizers([tensor])(halves.head).model, {"x": x})
    feature, y = run(InsertDequantizers([tensor])(halves.tail).model, {"feature.symbols": symbols})
    np.testing.assert_array_equal(feature, tensor.quantizer.dequantize(symbols, tensor.params))
    np.testing.assert_array_equal(y, -feature)


def test_removing_the_codec_restores_the_float_halves() -> None:
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 4)).astype(np.float32)
    tensor = fitted("log", 4, "channel", np.abs(x))
    halves = graph.split(model(), ["feature"])
    head = float_head(InsertQuantizers([tensor])(halves.head).model, halves.cut)
    tail = float_tail(InsertDequantizers([tensor])(halves.tail).model, halves.cut)
    (feature,) = run(head, {"x": x})
    np.testing.assert_array_equal(run(tail, {"feature": feature})[0], -np.abs(x))
    assert [node.op_type for node in head.graph] == ["Abs"]
    assert [node.op_type for node in tail.graph] == ["Neg"]
    with pytest.raises(GraphError, match="cut value 'other' is not in the bundle's graph"):
        float_head(halves.head, [TensorSpec(name="other", dtype="float32", shape=(1,))])


def test_passes_leave_their_input_alone() -> None:
    tensor = fitted("uniform", 4, "channel", np.ones((1, 3, 5, 4), np.float32))
    halves = graph.split(model(), ["feature"])
    before = graph.to_bytes(halves.head), graph.to_bytes(halves.tail)
    InsertQuantizers([tensor])(halves.head)
    InsertDequantizers([tensor])(halves.tail)
    assert (graph.to_bytes(halves.head), graph.to_bytes(halves.tail)) == before


def test_an_old_opset_is_refused_with_the_way_out() -> None:
    tensor = fitted("uniform", 4, "channel", np.ones((1, 3, 5, 4), np.float32))
    halves = graph.split(model(MODEL.replace(": 17", ": 11")), ["feature"])
    with pytest.raises(CapabilityError, match=r"imports opset 11; the codec inside a graph needs 13 or newer"):
        InsertQuantizers([tensor])(halves.head)
