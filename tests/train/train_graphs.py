"""Graphs for tests of training."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir

from splitc import graph
from splitc.types import Array, Feeds


def graph_of(body: str, inputs: str, *, opset: int = 17, **weights: Array) -> ir.Model:
    """A graph from ONNX's text; its result is ``y``. ``weights`` are its initializers."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => (float[n] y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(one), name) for name, one in weights.items())
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def random_tensor(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def small_tail(channels: int = 4, classes: int = 5) -> ir.Model:
    """A classifier's end: features ``x`` [N, channels, 6, 6] -> logits ``y``."""
    return graph_of(
        "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = GlobalAveragePool(b) d = Flatten(c) y = Gemm<transB=1>(d, v)",
        f"float[N,{channels},6,6] x",
        w=random_tensor(8, channels, 3, 3, seed=1) * 0.5,
        v=random_tensor(classes, 8, seed=2) * 2,
    )


def small_features(count: int, channels: int = 4, seed: int = 3) -> list[Feeds]:
    """Rectified, with neighbours alike."""
    rows = random_tensor(count, channels, 3, 3, seed=seed).repeat(2, 2).repeat(2, 3)
    rows = np.maximum(rows + 0.2 * random_tensor(count, channels, 6, 6, seed=seed + 1), 0)
    return [{"x": one[None]} for one in rows.astype(np.float32)]
