"""How much the answers change when one layer is disturbed: measured, without labels or gradients.

1. A layer's weights are rounded to a step that gives its outputs a known noise; all other layers stay as they are.
2. The divergence of the answers for each unit of noise is the layer's sensitivity: its Fisher information, measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import answered_through, open_session, run_session
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import layers_of
from splitc.types import F64, Feeds

PROBE_NOISE = 0.003
"""Noise of the one layer that is disturbed, as a share of its outputs' energy: small, yet above float rounding."""
LEAST = 1e-9
Divergence = Callable[[Feeds, Feeds], float]
"""Smooth distance of two outputs by name, the undisturbed one first."""


def softmax_divergence(reference: Feeds, got: Feeds) -> float:
    """KL divergence of the softmax of the first output ``[n, classes]``, nats, the mean over its rows."""
    log_p, log_q = (_log_softmax(np.asarray(next(iter(one.values())), np.float64)) for one in (reference, got))
    return float((np.exp(log_p) * (log_p - log_q)).sum(1).mean())


def _log_softmax(logits: F64) -> F64:
    rows = logits.reshape(len(logits), -1)
    rows = rows - rows.max(1, keepdims=True)
    return np.asarray(rows - np.log(np.exp(rows).sum(1, keepdims=True)))


def sensitivities(
    model: ir.Model,
    steps: Callable[[float], Mapping[str, np.float32]],
    feeds: Sequence[Feeds],
    through: ir.Model | None = None,
    step: Callable[[], None] = lambda: None,
    divergence: Divergence = softmax_divergence,
) -> dict[str, float]:
    """Divergence of the answers for each unit of output noise, by weight name.

    Args:
        model: The model.
        steps: Noise share -> the step that gives a layer so much, by weight name.
        feeds: Calibration samples.
        through: What makes answers of the model's outputs, and of what else it takes of ``feeds``, such as the other
            half; absent: they are the answers.
        step: Called once a layer.
        divergence: Smooth distance of a sample's outputs from those of the undisturbed model.
    """
    reference = _answers(model, feeds, through)
    found = {}
    probe = steps(PROBE_NOISE)
    for index, layer in enumerate(layers_of(model)):
        if layer.weight in probe:
            disturbed = model.clone()
            rounded = np.rint(read_weight(model, layer.weight) / probe[layer.weight]) * probe[layer.weight]
            put_weight(disturbed, layers_of(disturbed)[index], rounded)
            pairs = zip(reference, _answers(disturbed, feeds, through), strict=True)
            moved = float(np.mean([divergence(before, after) for before, after in pairs]))
            found[layer.weight] = max(moved / PROBE_NOISE, LEAST)
        step()
    return found


def _answers(model: ir.Model, feeds: Sequence[Feeds], through: ir.Model | None) -> list[Feeds]:
    outputs = _run(model, feeds)
    if through is None:
        return outputs
    return answered_through(through, feeds, outputs, _run)


def _run(model: ir.Model, feeds: Sequence[Feeds]) -> list[Feeds]:
    return run_session(open_session(model), feeds)
