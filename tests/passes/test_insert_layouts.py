"""Quantizers in graphs of any layout: the packets of the host, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from run_as_written import run

from splitc import graph
from splitc.codec import Codec, CodecSpec, Quantized
from splitc.passes import InsertDequantizers, InsertQuantizers, float_head, float_tail, wire_specs
from splitc.types import F32, USUAL_LAYOUT, Dim, Layout

LAYOUTS: dict[str, tuple[tuple[Dim, ...], Layout]] = {
    "usual": (("N", 3, 5, 4), USUAL_LAYOUT),
    "tokens": (("N", "T", 4), Layout(channel_axis=2)),
    "time-first": (("T", "N", 4), Layout(batch_axis=1, channel_axis=2)),
    "recurrent": (("T", 2, "N", 4), Layout(batch_axis=2, channel_axis=3)),
    "channel-last-map": (("N", 5, 6, 3), Layout(channel_axis=3)),
    "channels-first": ((4, "N", "T"), Layout(batch_axis=1, channel_axis=0)),
    "no-batch": (("T", 4), Layout(batch_axis=None, channel_axis=1)),
    "no-channels": (("N", "T", "U"), Layout(channel_axis=None)),
    "neither": (("T", "U"), Layout(batch_axis=None, channel_axis=None)),
}
SPECS = {
    "step": CodecSpec(),
    "uniform-channel": CodecSpec(quantizer="uniform", bits=5, scope="channel"),
    "log-channel": CodecSpec(quantizer="log", bits=6),
    "log-sample": CodecSpec(quantizer="log", bits=8, scope="sample"),
    "lloyd_max": CodecSpec(quantizer="lloyd_max", bits=3),
}


def parts(shape: tuple[Dim, ...], opset: int = 17, cast: str = "") -> graph.Halves:
    ports = ",".join(map(str, shape))
    body = "feature = Neg(x) y = Neg(feature)"
    if cast:
        body = f"h = Neg(x) feature = Cast<to={cast}>(h) f = Cast<to=1>(feature) y = Neg(f)"
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> net (float[{ports}] x) => (float[{ports}] y) {{ {body} }}'
    return graph.split(graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))), ["feature"])


def sample(shape: tuple[Dim, ...], layout: Layout, seed: int) -> F32:
    """Samples of a batch of two, and dynamic sizes of their own; channels of different scales."""
    random = np.random.default_rng(seed)
    named = [2 if axis == layout.batch_axis else size for axis, size in enumerate(shape)]
    sizes = [size if isinstance(size, int) else 3 + seed % 4 for size in named]
    x = random.standard_normal(sizes)
    if layout.channel_axis is not None:
        around = [size if axis == layout.channel_axis else 1 for axis, size in enumerate(sizes)]
        x *= np.geomspace(0.1, 10, sizes[layout.channel_axis]).reshape(around)
    return x.astype(np.float32)


def fitted(halves: graph.Halves, spec: CodecSpec, layout: Layout) -> Codec:
    shape = halves.cut[0].shape
    return Codec.fit(spec, halves.cut, [[sample(shape, layout, seed) for seed in range(9)]], layouts=[layout])


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_graphs_give_the_packets_and_features_of_the_host(name: str, spec: CodecSpec, opset: int) -> None:
    shape, layout = LAYOUTS[name]
    halves = parts(shape, opset)
    codec = fitted(halves, spec, layout)
    head = InsertQuantizers(codec.tensors)(halves.head).model
    tail = InsertDequantizers(codec.tensors)(halves.tail).model
    names = [one.name for one in wire_specs(codec.tensors)]
    for seed in range(20, 24):
        x = sample(shape, layout, seed)
        wires = run(head, {"x": x})
        quantized, host = codec.quantized_from_wires(wires), codec.quantize([-x])
        assert codec.encode_symbols(quantized) == codec.encode_symbols(host)
        (restored,) = codec.dequantize(codec.decode_symbols(codec.encode_symbols(quantized)))
        (answer,) = run(tail, dict(zip(names, codec.wires_from_quantized(quantized), strict=True)))
        np.testing.assert_array_equal(-answer, restored)
        assert restored.shape == x.shape


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_wire_is_what_the_graphs_say(name: str) -> None:
    shape, layout = LAYOUTS[name]
    halves = parts(shape)
    codec = fitted(halves, SPECS["log-sample"], layout)
    head = InsertQuantizers(codec.tensors)(halves.head).model
    tail = InsertDequantizers(codec.tensors)(halves.tail).model
    for ends in (head.graph.outputs, tail.graph.inputs):
        said = [tuple(d if isinstance(d, int) else str(d.value) for d in value.shape or ()) for value in ends]
        assert said == [one.shape for one in wire_specs(codec.tensors)]
    batch = 1 if layout.batch_axis is None else "N"
    assert [one.shape[0] for one in wire_specs(codec.tensors)] == [batch, batch]


@pytest.mark.parametrize("name", LAYOUTS)
def test_only_a_cast_touches_the_uint8_wire(name: str) -> None:
    shape, layout = LAYOUTS[name]
    halves = parts(shape)
    codec = fitted(halves, CodecSpec(), layout)
    head = InsertQuantizers(codec.tensors)(halves.head).model
    tail = InsertDequantizers(codec.tensors)(halves.tail).model
    every = [value for part in (head, tail) for node in part.graph for value in node.outputs]
    assert [value.name for value in every if value.dtype == ir.DataType.UINT8] == ["feature.symbols"]
    assert [use.node.op_type for use in tail.graph.inputs[0].uses()] == ["Cast"]


def test_the_usual_layout_adds_no_node() -> None:
    shape, _ = LAYOUTS["usual"]
    halves = parts(shape)
    codec = fitted(halves, CodecSpec(), USUAL_LAYOUT)
    models = InsertQuantizers(codec.tensors)(halves.head).model, InsertDequantizers(codec.tensors)(halves.tail).model
    assert not {"Transpose", "Unsqueeze", "Squeeze"} & {node.op_type for part in models for node in part.graph}


@pytest.mark.parametrize("kind", ["10", "11"], ids=["float16", "double"])
def test_other_float_features_keep_their_type(kind: str) -> None:
    shape, layout = LAYOUTS["time-first"]
    halves = parts(shape, cast=kind)
    codec = fitted(halves, SPECS["uniform-channel"], layout)
    x = sample(shape, layout, 30)
    (symbols,) = run(InsertQuantizers(codec.tensors)(halves.head).model, {"x": x})
    (answer,) = run(InsertDequantizers(codec.tensors)(halves.tail).model, {"feature.symbols": symbols})
    (restored,) = codec.dequantize(Quantized((symbols,), (np.empty((2, 0), np.float32),)))
    np.testing.assert_allclose(-answer, restored, rtol=2**-10)  # float16 keeps 11 bits


def test_float_halves_are_found_again(tmp_path: Path) -> None:
    shape, layout = LAYOUTS["time-first"]
    halves = parts(shape)
    codec = fitted(halves, CodecSpec(), layout)
    head = float_head(InsertQuantizers(codec.tensors)(halves.head).model, halves.cut)
    tail = float_tail(InsertDequantizers(codec.tensors)(halves.tail).model, halves.cut)
    x = sample(shape, layout, 31)
    (feature,) = run(head, {"x": x})
    np.testing.assert_array_equal(feature, -x)
    np.testing.assert_array_equal(run(tail, {"feature": feature})[0], x)
