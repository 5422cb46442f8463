"""Run a graph as it is written: no optimization of ONNX Runtime's between a pass and what it did."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import onnxruntime as ort

from splitc.types import Array


def run(model: ir.Model, feeds: dict[str, Array]) -> list[Any]:
    """Outputs in the graph's order."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(None, feeds)
    return outputs
