"""Layers that INT8 would make no faster where they run: Q and DQ before them would only cost fidelity."""

from __future__ import annotations

import onnx_ir as ir

from splitc import graph, passes, plan
from splitc.device import Device
from splitc.errors import UsageError
from splitc.lowering.time_claims import ComputeTarget


def layers_without_gain(model: ir.Model, target: ComputeTarget) -> dict[str, str]:
    """Layers that the target's cost model gives no less time in INT8 than in fp32, by name of their weight, and why.

    None where the target computes INT8 in another type or has no INT8 rate: then nothing is known of its time, and what
    INT8 saves is bytes. By the published peaks every layer gains; rates fitted to profiles tell which kinds do not.
    """
    device = target.device
    if device.arithmetic("int8") != "int8":
        return {}
    layers = {layer.node.outputs[0].name: layer.weight for layer in passes.layers_of(model)}
    works = graph.work_of(graph.model_from_ir(model.clone()))
    found = [work for work in works if work.value in layers and work.kind != "none"]
    return {
        layers[work.value]: f"INT8 makes layers of the kind {work.kind} no faster on {target.label}, by its rates"
        for work in found
        if not _gains(device, work)
    }


def _gains(device: Device, work: graph.Work) -> bool:
    try:
        exact_ms, int8_ms = plan.work_ms(device, work, "fp32"), plan.work_ms(device, work, "int8")
    except UsageError:  # a figure that the device's file lacks
        return True
    return int8_ms < exact_ms or exact_ms == 0
