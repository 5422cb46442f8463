"""Rates fitted to records: a device that obeys a line gives that line back, and predicts another model."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from splitc.device import Device, layer_ms
from splitc.errors import UsageError
from splitc.graph import Model, model_from_ir, work_of
from splitc.records import LayerTiming, Measured, Percentiles, Record, fit_device

TOY = Device(
    name="toy",
    title="A toy",
    bandwidth_gb_s=10,
    peak_tflops={"fp32": 1},
    sources={"bandwidth_gb_s": "by hand", "peak_tflops.fp32": "by hand"},
)


def chain(channels: list[int], side: int) -> Model:
    """3 x 3 convolutions with an activation behind each."""
    nodes, weights = [], []
    for index, (before, after) in enumerate(itertools.pairwise(channels)):
        weights.append(numpy_helper.from_array(np.zeros((after, before, 3, 3), np.float32), f"w{index}"))
        nodes.append(helper.make_node("Conv", [f"x{index}", f"w{index}"], [f"c{index}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"x{index + 1}"]))
    last = len(channels) - 1
    ends = [
        helper.make_tensor_value_info(name, 1, [1, count, side, side])
        for name, count in (("x0", channels[0]), (f"x{last}", channels[-1]))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    return model_from_ir(ir.from_proto(model))


def record_of(model: Model, **changes: object) -> Record:
    """A device that launches in 0.01 ms, does 1 GFLOP in 5 ms and moves 1 MB of activations in 0.2 ms."""
    layers = [
        LayerTiming(
            name=f"fused {work.value}",
            operator="Conv",
            median_ms=0.01 + 5 * work.flops / 1e9 + 0.2 * 4 * work.moved / 1e6,
            values=(work.value,),
        )
        for index, work in enumerate(work_of(model))
        if work.leader == index
    ]
    fields = {
        "device": "toy",
        "backend": "onnxruntime",
        "backend_version": "1",
        "model_sha256": "0" * 64,
        "side": "whole",
        "warmup": 0,
        "samples": 1,
        "latency_ms": Percentiles.of([sum(layer.median_ms for layer in layers)]),
        "layers": tuple(layers),
    }
    return Record.model_validate({**fields, **changes})


def test_a_line_is_found_again_and_predicts_another_model() -> None:
    seen, unseen = chain([3, 8, 16, 16, 48], 16), chain([8, 24, 24], 40)
    fitted = fit_device(TOY, [Measured(seen, record_of(seen))])
    (rate,) = fitted.rates
    assert rate.kind == "conv"
    assert (rate.launch_ms, rate.ms_per_gflop, rate.ms_per_moved_mb) == pytest.approx((0.01, 5, 0.2), rel=1e-6)
    assert rate.ms_per_weight_mb == pytest.approx(0, abs=1e-9)
    predicted = sum(
        layer_ms(fitted, work.kind, work.flops, 4 * work.weights, 4 * work.moved)
        for index, work in enumerate(work_of(unseen))
        if work.leader == index
    )
    assert predicted == pytest.approx(record_of(unseen).latency_ms.p50, rel=1e-6)  # least squares in double


def test_kinds_that_were_not_measured_keep_a_share_of_the_roofline() -> None:
    """The share is the median of what the measured layers reach, and says where it comes from."""
    model = chain([3, 8, 16, 16, 48], 16)
    fitted = fit_device(TOY, [Measured(model, record_of(model))])
    assert fitted.efficiency is not None
    assert 0 < fitted.efficiency < 1
    assert fitted.sources["efficiency"] == fitted.sources["rates"]
    assert fitted.sources["rates"].startswith("fitted to 1 profiles of 4 layers")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"layers": ()}, "has no layers to fit", id="no-layers"),
        pytest.param(
            {"layers": (LayerTiming(name="z", operator="Conv", median_ms=1, values=("other",)),)},
            "are not this model's",
            id="another-model",
        ),
    ],
)
def test_records_that_cannot_be_fitted(changes: dict, words: str) -> None:
    model = chain([3, 8], 8)
    with pytest.raises(UsageError, match=words):
        fit_device(TOY, [Measured(model, record_of(model, **changes))])


def test_no_record_and_mixed_records() -> None:
    model = chain([3, 8], 8)
    mixed = [Measured(model, record_of(model)), Measured(model, record_of(model, precision="int8"))]
    for records in ([], mixed):
        with pytest.raises(UsageError, match="profiles of one precision are needed"):
            fit_device(TOY, records)
