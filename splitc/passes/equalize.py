"""Give all channels of an activation the same range, so that one scale for the tensor serves each of them.

1. Where a layer's output reaches one other layer, at most through Relu or Clip(0, high), channel c of the first is
   multiplied by s and the input channel c of the second divided by it.
2. Behind Clip, s brings the channel's largest calibrated value to the clip: what calibration never saw is cut there.
   Behind Relu or nothing, s brings it to the tensor's largest value.
3. A depthwise layer takes the whole of s, since its weights have a scale for each channel; others the square root.

Source: Nagel et al. 2019 (cross-layer equalization); keeping ReLU6 by using its clip is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import run_with
from splitc.passes.base import PassResult
from splitc.passes.layers import Layer, layers_of, put_weight, read_weight
from splitc.types import F64, Array, Feeds

MOST = 4.0
"""Channels are stretched by at most this: more, and values that calibration did not see are clipped too often."""


class Pair(NamedTuple):
    """Two layers and the activation between them."""

    first: Layer
    second: Layer
    high: float | None


@dataclass(frozen=True, eq=False)
class Equalize:
    """Equalize pairs of layers, on ranges from samples."""

    name: ClassVar[str] = "equalize"
    feeds: Sequence[Feeds] = field(repr=False)

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; a model without such pairs is left as it is."""
        changed = model.clone()
        pairs = _pairs(changed)
        names = [pair.second.input.name or "" for pair in pairs]
        largest: dict[str, F64] = {}
        for values in run_with(model, names, self.feeds, only=True) if pairs else ():
            for name in names:
                found = np.abs(np.moveaxis(values[name], 1, 0)).reshape(values[name].shape[1], -1).max(1)
                largest[name] = np.maximum(largest.get(name, np.zeros(len(found))), found)
        for pair, name in zip(pairs, names, strict=True):
            _scale(changed, pair, _factors(pair, largest[name]))
        return PassResult(changed, bool(pairs), (f"equalized {len(pairs)} pairs of layers",))


def _factors(pair: Pair, largest: F64) -> F64:
    aim = pair.high if pair.high is not None else float(largest.max())
    whole = np.clip(aim / np.maximum(largest, 1e-12), 1.0, MOST)
    is_depthwise = pair.second.groups == len(largest)
    return whole if is_depthwise else np.sqrt(whole)


def _scale(model: ir.Model, pair: Pair, factors: F64) -> None:
    first, second = read_weight(model, pair.first.weight), read_weight(model, pair.second.weight)
    put_weight(model, pair.first.weight, first * _along(factors, first.ndim, 0))
    if pair.first.bias is not None:
        put_weight(model, pair.first.bias, read_weight(model, pair.first.bias) * factors)
    axis = 0 if pair.second.groups > 1 else 1
    put_weight(model, pair.second.weight, second / _along(factors, second.ndim, axis))


def _along(factors: F64, axes: int, axis: int) -> Array:
    shape = [1] * axes
    shape[axis] = -1
    return factors.reshape(shape)


def _pairs(model: ir.Model) -> list[Pair]:
    layers = {layer.node: layer for layer in layers_of(model) if layer.kind == "conv"}
    outputs = set(model.graph.outputs)
    found = []
    for second in layers.values():
        value, high = second.input, None
        node = value.producer()
        if node is not None and node.op_type in ("Relu", "Clip"):
            high = _clip(node)
            if len(value.uses()) != 1 or value in outputs or (node.op_type == "Clip" and high is None):
                continue
            inner = node.inputs[0]
            assert inner is not None
            value, node = inner, inner.producer()
        first = layers.get(node) if node is not None else None
        if first is None or len(value.uses()) != 1 or value in outputs or not _fits(model, second):
            continue
        found.append(Pair(first, second, high))
    return found


def _fits(model: ir.Model, second: Layer) -> bool:
    """Dense, or depthwise with one output a channel."""
    return second.groups == 1 or second.groups == read_weight(model, second.weight).shape[0]


def _clip(node: ir.Node) -> float | None:
    """The upper end of Clip(0, high)."""
    if node.op_type != "Clip" or len(node.inputs) < 3:
        return None
    ends = [value.const_value for value in node.inputs[1:3] if value is not None]
    if len(ends) != 2 or ends[0] is None or ends[1] is None or float(ends[0].numpy()) != 0:
        return None
    return float(ends[1].numpy())
