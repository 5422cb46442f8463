"""Transforms inside the graphs: the planes that the host gives, up to the order of float32 sums."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from run_as_written import run

from splitc import graph
from splitc.codec import Codec, CodecSpec
from splitc.passes import InsertDequantizers, InsertQuantizers, float_head, float_tail, wire_specs
from splitc.types import F32, Layout, TensorSpec

SHAPES = [(4, 8), (3, 6, 4), (3, 5, 7), (2, 3, 5, 4)]
"""Channels, then sizes: even and odd, of one, two and three axes."""


def halves(shape: tuple[int, ...], opset: int = 17) -> graph.Halves:
    ports = ",".join(map(str, ("N", *shape)))
    text = f"""
    <ir_version: 8, opset_import: ["" : {opset}]>
    net (float[{ports}] x) => (float[{ports}] y) {{ feature = Identity(x)  y = Neg(feature) }}
    """
    return graph.split(graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))), ["feature"])


def features(shape: tuple[int, ...]) -> F32:
    return np.random.default_rng(3).normal(size=(6, *shape)).cumsum(2).astype(np.float32)


def fitted(shape: tuple[int, ...], **asked: object) -> Codec:
    spec = CodecSpec(reconstruction="unbiased", step=0.2, **asked)
    return Codec.fit(spec, [TensorSpec(name="feature", dtype="float32", shape=("N", *shape))], [features(shape)])


FORMS = [("dct", None), ("klt", 2), ("klt", 1)]


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "block"), FORMS)
def test_graph_and_host_agree(name: str, block: int | None, shape: tuple[int, ...], opset: int) -> None:
    codec, x, parts = fitted(shape, transform=name, transform_block=block), features(shape), halves(shape, opset)
    head = InsertQuantizers(codec.tensors)(parts.head).model
    tail = InsertDequantizers(codec.tensors)(parts.tail).model
    (wire,) = wire_specs(codec.tensors)
    assert [list(head.graph.outputs[0].shape or ())] == [list(wire.shape)]
    (symbols,) = run(head, {"x": x})
    on_host = codec.quantize([x])
    moved = np.abs(symbols.astype(int) - on_host.symbols[0])
    # sums of float32 in another order: one step at ties, which are rare
    assert moved.max() <= 1
    assert moved.mean() < 1e-3
    (answer,) = run(tail, {wire.name: symbols})
    assert answer.shape == x.shape
    restored = codec.dequantize(codec.quantized_from_wires([symbols]))[0]
    np.testing.assert_allclose(-answer, restored, atol=1e-5 * np.abs(x).max())


def test_other_layouts_are_transposed_first() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,6,4,3] x) => (float[N,6,4,3] y) { feature = Identity(x)  y = Neg(feature) }
    """
    parts = graph.split(graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))), ["feature"])
    x = np.moveaxis(features((3, 6, 4)), 1, -1).copy()
    spec = CodecSpec(reconstruction="unbiased", transform="klt")
    codec = Codec.fit(spec, parts.cut, [x], layouts=[Layout(channel_axis=3)])
    assert codec.tensors[0].wire_shape == ("N", 12, 3, 2)
    (symbols,) = run(InsertQuantizers(codec.tensors)(parts.head).model, {"x": x})
    (answer,) = run(InsertDequantizers(codec.tensors)(parts.tail).model, {"feature.symbols": symbols})
    restored = codec.dequantize(codec.quantized_from_wires([symbols]))[0]
    np.testing.assert_allclose(-answer, restored, atol=1e-5 * np.abs(x).max())


def test_quantizers_come_out_again() -> None:
    shape = SHAPES[2]
    codec, x, parts = fitted(shape, transform="klt"), features(shape), halves(shape)
    head = float_head(InsertQuantizers(codec.tensors)(parts.head).model, parts.cut)
    tail = float_tail(InsertDequantizers(codec.tensors)(parts.tail).model, parts.cut)
    np.testing.assert_array_equal(run(head, {"x": x})[0], x)
    np.testing.assert_array_equal(run(tail, {"feature": x})[0], -x)
