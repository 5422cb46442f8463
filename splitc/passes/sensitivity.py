"""How much the answers move when one layer is disturbed: measured, without labels or gradients.

1. A layer's weights are rounded to a step that gives its outputs a known noise; all other layers stay as they are.
2. The divergence of the answers for each unit of noise is the layer's sensitivity: its Fisher information, measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import open_session
from splitc.passes.layers import layers_of, put_weight, read_weight
from splitc.types import F64, Feeds

PROBE_NOISE = 0.003
"""Noise of the one layer that is disturbed, as a share of its outputs' energy: small, yet above float rounding."""
LEAST = 1e-9


def sensitivities(
    model: ir.Model,
    steps: Callable[[float], Mapping[str, np.float32]],
    feeds: Sequence[Feeds],
    step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Divergence of the answers, nats for each unit of output noise, by weight name.

    Args:
        model: The model.
        steps: Noise share -> the step that gives a layer so much, by weight name.
        feeds: Calibration samples.
        step: Called once a layer.
    """
    reference = _answers(model, feeds)
    found = {}
    probe = steps(PROBE_NOISE)
    for layer in layers_of(model):
        if layer.weight in probe:
            disturbed = model.clone()
            rounded = np.rint(read_weight(model, layer.weight) / probe[layer.weight]) * probe[layer.weight]
            put_weight(disturbed, layer.weight, rounded)
            found[layer.weight] = max(_divergence(reference, _answers(disturbed, feeds)) / PROBE_NOISE, LEAST)
            step()
    return found


def _answers(model: ir.Model, feeds: Sequence[Feeds]) -> F64:
    """Logarithms of the softmax of the first output, ``[n, classes]``."""
    session = open_session(model)
    logits = np.concatenate([np.asarray(session.run(None, dict(one))[0]) for one in feeds]).astype(np.float64)
    logits = logits.reshape(len(logits), -1)
    logits -= logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def _divergence(reference: F64, got: F64) -> float:
    return float((np.exp(reference) * (reference - got)).sum(1).mean())
