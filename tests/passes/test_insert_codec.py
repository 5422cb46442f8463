"""Quantizers inside the graphs give the symbols, and the features, that the host gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from run_as_written import run

from splitc import graph
from splitc.backends import BACKENDS, EngineTarget
from splitc.codec import QUANTIZERS, Codec, CodecSpec, FittedTensor, QuantParams
from splitc.codec.quantizers.operators import NumpyOperators
from splitc.errors import CapabilityError, GraphError
from splitc.passes import InsertDequantizers, InsertQuantizers, float_head, float_tail, symbols_name, wire_specs
from splitc.types import F32, TensorSpec

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,5,4] x) => (float[N,3,5,4] y) { feature = Abs(x)  y = Neg(feature) }
"""
SHAPES = {"x": ("N", 3, 5, 4)}
FEATURE = TensorSpec(name="feature", dtype="float32", shape=("N", 3, 5, 4))


def model(text: str = MODEL) -> graph.Model:
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def fitted(name: str, x: F32, **options: object) -> FittedTensor:
    quantizer = QUANTIZERS.make(name, options)
    return FittedTensor(FEATURE, quantizer, quantizer.fit(x), b"")


def hard_values(params: QuantParams, x: F32) -> F32:
    """Values at and next to every place where a symbol changes, and beyond both ends."""
    near = [x.ravel(), params.thresholds.ravel(), params.levels.ravel()]
    if params.thresholds.size == 0:
        halves = np.arange(-1, params.count + 1, 0.5, dtype=np.float32)
        near.append((params.lo[:, None] + halves / params.scale[:, None]).ravel())
    some = np.abs(np.concatenate([*near, np.float32([0, 1e-30, 1e30])]).astype(np.float32))
    every = np.concatenate([some, np.nextafter(some, np.float32(np.inf)), np.nextafter(some, np.float32(0))])
    batch = -(-len(every) // 60)
    return np.resize(every, (batch * 3, 60)).reshape(-1, 3, 5, 4)


FORMS = [
    pytest.param(name, {"bits": bits, "scope": scope}, id=f"{name}-{bits}-{scope}")
    for name in QUANTIZERS
    for bits in range(1, 9)
    for scope in ("tensor", "channel", "sample")
    if (scope != "sample" or name == "log") and (bits == 1 or name != "binary")
] + [
    pytest.param("step", {"bits": bits, "scope": scope, "reconstruction": "unbiased"}, id=f"unbiased-{bits}-{scope}")
    for bits in range(1, 9)
    for scope in ("tensor", "channel")
]
"""Every quantizer with every width that fits a graph, and every scope."""


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_every_opset_has_the_operators(opset: int) -> None:
    for name, options in (one.values[:2] for one in FORMS[::3]):
        check_forms(name, dict(options), opset)


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_graph_and_host_agree_symbol_for_symbol_and_bit_for_bit(name: str, options: dict[str, object]) -> None:
    check_forms(name, options, 17)


def check_forms(name: str, options: dict[str, object], opset: int) -> None:
    """The graph form in ONNX Runtime, the graph form in NumPy and the host form: all three the same."""
    x = np.abs(np.random.default_rng(1).normal(size=(8, 3, 5, 4)) * [[[[1]], [[9]], [[0.01]]]]).astype(np.float32)
    tensor = fitted(name, x, **options)
    quantizer, params = tensor.quantizer, tensor.params
    halves = graph.split(model(MODEL.replace(": 17", f": {opset}")), ["feature"])
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    values = hard_values(params, x)
    side = quantizer.side(values)
    symbols, *sides = run(head, {"x": values})
    assert symbols.dtype == np.uint8
    np.testing.assert_array_equal(symbols, quantizer.quantize(values, params, side))
    if sides:
        np.testing.assert_array_equal(sides[0], side)
        assert sides[0].dtype == np.float32
    ops = NumpyOperators(4)
    np.testing.assert_array_equal(quantizer.graph_quantize(ops, values, params, side), symbols)
    wires = dict(zip((spec.name for spec in wire_specs([tensor])), [symbols, *sides], strict=True))
    (answer,) = run(tail, wires)
    restored = quantizer.dequantize(symbols, params, side)
    np.testing.assert_array_equal(-answer, restored)
    np.testing.assert_array_equal(quantizer.graph_dequantize(ops, symbols.astype(np.int32), params, side), restored)


@pytest.mark.parametrize("shape", [("N",), ("N", 6), ("N", 3, 4), ("N", 3, 2, 2, 2)], ids=len)
def test_side_information_at_every_rank(shape: tuple[int | str, ...]) -> None:
    sizes = tuple(4 if size == "N" else int(size) for size in shape)
    ports = ",".join(map(str, shape))
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[{ports}] x) => (float[{ports}] y) {{ feature = Neg(x)  y = Neg(feature) }}
    """
    x = np.random.default_rng(5).normal(size=sizes).astype(np.float32)
    x[0] = 3
    halves = graph.split(model(text), ["feature"])
    quantizer = QUANTIZERS.make("log", {"bits": 8, "scope": "sample"})
    tensor = FittedTensor(halves.cut[0], quantizer, quantizer.fit(-x), b"")
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    assert [list(value.shape) for value in head.graph.outputs] == [list(shape), ["N", 2]]
    symbols, side = run(head, {"x": x})
    np.testing.assert_array_equal(side, quantizer.side(-x))
    np.testing.assert_array_equal(symbols, quantizer.quantize(-x, tensor.params, side))
    (answer,) = run(tail, {"feature.symbols": symbols, "feature.side": side})
    np.testing.assert_array_equal(-answer, quantizer.dequantize(symbols, tensor.params, side))


def test_a_constant_sample_gives_no_nan() -> None:
    tensor = fitted("log", np.ones((1, 3, 5, 4), np.float32), scope="sample", bits=8)
    halves = graph.split(model(), ["feature"])
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    x = np.full((2, 3, 5, 4), 7.5, np.float32)
    symbols, side = run(head, {"x": x})
    assert not symbols.any()
    np.testing.assert_array_equal(side, [[7.5, 0]] * 2)
    np.testing.assert_array_equal(run(tail, {"feature.symbols": symbols, "feature.side": side})[0], -x)


@pytest.mark.parametrize(("name", "options"), FORMS[:: len(FORMS) // 24])
def test_only_a_cast_touches_the_uint8_wire(name: str, options: dict[str, object]) -> None:
    """TensorRT allows UINT8 at a network's edge, next to one Cast, and nowhere else."""
    tensor = fitted(name, np.abs(np.random.default_rng(0).normal(size=(2, 3, 5, 4))).astype(np.float32), **options)
    halves = graph.split(model(), ["feature"])
    head, tail = InsertQuantizers([tensor])(halves.head).model, InsertDequantizers([tensor])(halves.tail).model
    output, entry = head.graph.outputs[0], tail.graph.inputs[0]
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
    assert [spec.name for spec in wire_specs(tensors)] == ["b.symbols", "a.symbols"]
    symbols = run(head, {"x": x})
    for tensor, got in zip(tensors, symbols, strict=True):
        np.testing.assert_array_equal(got, quantizer.quantize(sources[tensor.spec.name], tensor.params))


def test_a_cut_value_that_is_an_output_too_is_quantized() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,5,4] x) => (float[N,3,5,4] feature, float[N,3,5,4] y) { feature = Abs(x)  y = Neg(feature) }
    """
    x = np.random.default_rng(3).normal(size=(2, 3, 5, 4)).astype(np.float32)
    tensor = fitted("uniform", np.abs(x), bits=8, scope="tensor")
    halves = graph.split(model(text), ["feature"])
    (symbols,) = run(InsertQuantizers([tensor])(halves.head).model, {"x": x})
    feature, y = run(InsertDequantizers([tensor])(halves.tail).model, {"feature.symbols": symbols})
    np.testing.assert_array_equal(feature, tensor.quantizer.dequantize(symbols, tensor.params))
    np.testing.assert_array_equal(y, -feature)


def test_rx_side_wires_follow_all_symbols() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,5,4] x) => (float[N,3,5,4] y) { a = Abs(x)  b = Neg(x)  y = Add(a, b) }
    """
    x = np.random.default_rng(2).normal(size=(3, 3, 5, 4)).astype(np.float32)
    halves = graph.split(model(text), ["b", "a"])
    codec = Codec.fit(CodecSpec(quantizer="log", scope="sample"), halves.cut, [-x, np.abs(x)])
    names = ["b.symbols", "a.symbols", "b.side", "a.side"]
    head = InsertQuantizers(codec.tensors)(halves.head).model
    tail = InsertDequantizers(codec.tensors)(halves.tail).model
    assert [spec.name for spec in wire_specs(codec.tensors)] == names
    assert [value.name for value in head.graph.outputs] == names
    assert [value.name for value in tail.graph.inputs] == names
    wires = run(head, {"x": x})
    quantized = codec.quantized_from_wires(wires)
    expected = codec.quantize([-x, np.abs(x)])
    for got, want in zip((*quantized.symbols, *quantized.side), (*expected.symbols, *expected.side), strict=True):
        np.testing.assert_array_equal(got, want)
    received = codec.decode_symbols(codec.encode_symbols(quantized))
    (answer,) = run(tail, dict(zip(names, codec.wires_from_quantized(received), strict=True)))
    b, a = codec.dequantize(quantized)
    np.testing.assert_array_equal(answer, a + b)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("log", {}, id="log"),
        pytest.param("log", {"scope": "sample"}, id="sample"),
        pytest.param("lloyd_max", {}, id="lloyd_max"),
        pytest.param("step", {}, id="step"),
        pytest.param("binary", {}, id="binary"),
    ],
)
def test_removing_the_codec_restores_the_float_halves(name: str, options: dict[str, object]) -> None:
    x = np.random.default_rng(4).normal(size=(2, 3, 5, 4)).astype(np.float32)
    tensor = fitted(name, np.abs(x), **options)
    halves = graph.split(model(), ["feature"])
    head = float_head(InsertQuantizers([tensor])(halves.head).model, halves.cut)
    tail = float_tail(InsertDequantizers([tensor])(halves.tail).model, halves.cut)
    (feature,) = run(head, {"x": x})
    np.testing.assert_array_equal(run(tail, {"feature": feature})[0], -np.abs(x))
    assert [node.op_type for node in head.graph] == ["Abs"]
    assert [node.op_type for node in tail.graph] == ["Neg"]
    assert not tail.graph.initializers
    with pytest.raises(GraphError, match="cut value 'other' is not in the bundle's graph"):
        float_head(halves.head, [TensorSpec(name="other", dtype="float32", shape=(1,))])


def test_passes_leave_their_input_alone() -> None:
    tensor = fitted("uniform", np.ones((1, 3, 5, 4), np.float32))
    halves = graph.split(model(), ["feature"])
    before = graph.to_bytes(halves.head), graph.to_bytes(halves.tail)
    InsertQuantizers([tensor])(halves.head)
    InsertDequantizers([tensor])(halves.tail)
    assert (graph.to_bytes(halves.head), graph.to_bytes(halves.tail)) == before


def test_an_old_opset_is_refused_with_the_way_out() -> None:
    tensor = fitted("uniform", np.ones((1, 3, 5, 4), np.float32))
    halves = graph.split(model(MODEL.replace(": 17", ": 11")), ["feature"])
    with pytest.raises(CapabilityError, match=r"imports opset 11; the codec inside a graph needs 13 or newer"):
        InsertQuantizers([tensor])(halves.head)


RTX_FORMS = [
    pytest.param("uniform", {"scope": "channel"}, 17, id="uniform"),
    pytest.param("step", {"scope": "tensor"}, 17, id="step"),
    pytest.param("clipped", {}, 17, id="clipped"),
    pytest.param("log", {"scope": "channel"}, 17, id="log"),
    pytest.param("log", {"scope": "sample", "bits": 8}, 17, id="log-sample"),
    pytest.param("log", {"scope": "sample", "bits": 8}, 18, id="log-sample-opset-18"),
    pytest.param("binary", {}, 17, id="binary"),
    pytest.param("lloyd_max", {"scope": "channel"}, 17, id="lloyd_max"),
    pytest.param("lloyd_max", {"scope": "tensor", "bits": 8}, 17, id="lloyd_max-8"),
]


@pytest.mark.trt
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="the trt-rtx extra is not installed"
)
@pytest.mark.parametrize(("name", "options", "opset"), RTX_FORMS)
def test_tensorrt_rtx_compiles_every_form(name: str, options: dict[str, object], opset: int, tmp_path: Path) -> None:
    x = np.abs(np.random.default_rng(0).normal(size=(4, 3, 5, 4))).astype(np.float32)
    tensor = fitted(name, x, **options)
    halves = graph.split(model(MODEL.replace(": 17", f": {opset}")), ["feature"])
    parts = {
        "edge": InsertQuantizers([tensor])(halves.head).model,
        "cloud": InsertDequantizers([tensor])(halves.tail).model,
    }
    for side, part in parts.items():
        path = tmp_path / side / "model.onnx"
        path.parent.mkdir()
        graph.save(part, path)
        target = EngineTarget("l4", "cloud" if side == "cloud" else "edge", (89,), {"N": (1, 2, 8)})
        record = BACKENDS.make("tensorrt_rtx", {}).build(path, target, tmp_path / side)
        assert record.status == "built", record.reason
