"""How much the answers change when one layer is disturbed: measured, without labels or gradients.

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
    through: ir.Model | None = None,
    step: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Divergence of the answers, nats for each unit of output noise, by weight name.

    Args:
        model: The model.
        steps: Noise share -> the step that gives a layer so much, by weight name.
        feeds: Calibration samples.
        through: What makes answers of the model's outputs, such as the other half; absent: they are the answers.
        step: Called once a layer.
    """
    reference = _answers(model, feeds, through)
    found = {}
    probe = steps(PROBE_NOISE)
    for layer in layers_of(model):
        if layer.weight in probe:
            disturbed = model.clone()
            rounded = np.rint(read_weight(model, layer.weight) / probe[layer.weight]) * probe[layer.weight]
            put_weight(disturbed, layer.weight, rounded)
            found[layer.weight] = max(_divergence(reference, _answers(disturbed, feeds, through)) / PROBE_NOISE, LEAST)
        step()
    return found


def _answers(model: ir.Model, feeds: Sequence[Feeds], through: ir.Model | None) -> F64:
    """Logarithms of the softmax of the first output, ``[n, classes]``."""
    outputs = _run(model, feeds)
    found = [next(iter(one.values())) for one in (outputs if through is None else _run(through, outputs))]
    logits = np.concatenate(found).astype(np.float64)
    logits = logits.reshape(len(logits), -1)
    logits -= logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def _run(model: ir.Model, feeds: Sequence[Feeds]) -> list[Feeds]:
    session = open_session(model)
    names, wanted = ([one.name for one in ports] for ports in (session.get_outputs(), session.get_inputs()))
    return [dict(zip(names, session.run(names, {name: feed[name] for name in wanted}), strict=True)) for feed in feeds]


def _divergence(reference: F64, got: F64) -> float:
    return float((np.exp(reference) * (reference - got)).sum(1).mean())
