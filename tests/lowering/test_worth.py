"""Layers that INT8 makes no faster stay float, as far as the target's rates tell."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from splitc import graph
from splitc.device import Device, Rate, load_device
from splitc.lowering import ComputeTarget
from splitc.lowering.worth import layers_without_gain


@pytest.fixture
def model() -> ir.Model:
    """A dense layer and a depthwise one."""
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 8, 16, 16] x) => (float[1, 8, 16, 16] y) {'
        "a = Conv<pads = [1, 1, 1, 1]>(x, dense) y = Conv<group = 8, pads = [1, 1, 1, 1]>(a, deep) }"
    )
    for name, shape in (("dense", (8, 8, 3, 3)), ("deep", (8, 1, 3, 3))):
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def target(device: Device) -> ComputeTarget:
    return ComputeTarget("edge", device, "tensorrt", False)


def rate(kind: str, precision: str, per_gflop: float) -> Rate:
    return Rate(
        kind=kind,
        precision=precision,
        launch_ms=0.01,
        ms_per_gflop=per_gflop,
        ms_per_weight_mb=0,
        ms_per_moved_mb=0,
    )


def test_published_peaks_gain_everywhere(model: ir.Model) -> None:
    assert layers_without_gain(model, target(load_device("jetson-orin-nano"))) == {}


def test_a_kind_that_was_measured_to_gain_nothing_stays_float(model: ir.Model) -> None:
    rates = (rate("conv-depthwise", "fp32", 1.0), rate("conv-depthwise", "int8", 1.0))
    device = load_device("jetson-orin-nano").model_copy(update={"rates": rates})
    found = layers_without_gain(model, target(device))
    assert found == {
        "deep": "INT8 makes layers of the kind conv-depthwise no faster on jetson-orin-nano with tensorrt, by its rates"
    }


def test_the_half_is_left_as_it_is(model: ir.Model) -> None:
    model.graph.outputs[0].shape = None
    layers_without_gain(model, target(load_device("jetson-orin-nano")))
    assert model.graph.outputs[0].shape is None


def test_nothing_is_said_where_int8_has_no_rate(model: ir.Model) -> None:
    """Its arithmetic is another type's, or its rate is unknown: what INT8 saves there is bytes."""
    assert layers_without_gain(model, target(load_device("jetson-nano"))) == {}
    cast = load_device("jetson-orin-nano").model_copy(update={"computes_as": {"int8": "fp32"}})
    assert layers_without_gain(model, target(cast)) == {}
