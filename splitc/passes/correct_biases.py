"""Give back to every bias what quantizing its layer, and nothing else, takes from the mean of its outputs.

1. In one run of the float model every quantized layer stands beside its float self, on the same inputs: those of the
   float network. So each bias makes up for its own layer alone, and stays right when other layers return to float.
2. The weights are the rounded ones, as they are stored: the shift of rounding them is part of what is corrected.
3. A channel is corrected as far as the samples agree on its shift (:func:`splitc.passes.align_outputs.agreed_share`).

:class:`splitc.passes.AlignOutputs` corrects in order instead, each layer on what the corrected ones before it make, and
so makes up for them too. Correcting all layers from the quantized network's own means at once would correct twice.

Source: Nagel et al. 2019 (bias correction).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.passes.activations import run_with
from splitc.passes.align_outputs import agreed_share
from splitc.passes.base import PassResult
from splitc.passes.edit_weights import add_weight, put_operand, read_operand
from splitc.passes.layers import BIAS, WEIGHT, Layer, layers_of
from splitc.passes.lift_layers import quantized_layers
from splitc.types import F32, F64, Array, Feeds

SCALE, ZERO_POINT = 1, 2
"""Operands of Q and DQ."""
SIDE = "beside_"
"""Before the names of what is computed beside the float model."""


class _Pair(NamedTuple):
    """A layer of the float model, the same node as quantized, and the output beside it that tells the shift."""

    layer: Layer
    quantized: ir.Node
    shift: str


@dataclass(frozen=True, eq=False)
class CorrectBiases:
    """Correct the biases of quantized layers, each by its own error.

    Attributes:
        original: The float model that was quantized.
        feeds: Calibration samples.
    """

    name: ClassVar[str] = "correct_biases"
    original: ir.Model = field(repr=False)
    feeds: Sequence[Feeds] = field(repr=False)

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; layers without a bias of their own are left as they are."""
        corrected, beside = model.clone(), self.original.clone()
        names = graph.FreshNames(beside)
        pairs = list(_pairs(corrected, beside, names))
        for pair in pairs:
            _stand_beside(beside, pair, names)
        moved: dict[str, list[F64]] = {pair.shift: [] for pair in pairs}
        for values in run_with(beside, list(moved), self.feeds, only=True) if pairs else ():
            for pair in pairs:
                moved[pair.shift].append(_channel_means(pair.layer, values[pair.shift]))
        for pair in pairs:
            shifts = np.concatenate(moved[pair.shift])
            shift = agreed_share(shifts) * shifts.mean(0)
            kept = np.where(np.isfinite(shift), shift, 0)
            put_operand(corrected, pair.quantized, BIAS, read_operand(pair.quantized, BIAS) + kept)
        return PassResult(corrected, bool(pairs), (f"biases of {len(pairs)} layers corrected, each by its own error",))


def _pairs(model: ir.Model, beside: ir.Model, names: graph.FreshNames) -> Iterator[_Pair]:
    """Quantized layers that have a bias, each with its float self."""
    layers = {layer.weight: layer for layer in layers_of(beside)}
    for node, weight in quantized_layers(model):
        if weight in layers and layers[weight].bias is not None:
            yield _Pair(layers[weight], node, names(f"{SIDE}{weight}_shift"))


def _stand_beside(beside: ir.Model, pair: _Pair, names: graph.FreshNames) -> None:
    """Add Q, DQ, the layer with its rounded weight, and what it lacks, to the float graph."""
    node, layer = pair.quantized, pair.layer
    parts = [
        add_weight(beside, f"{SIDE}{layer.weight}_{index}", read_operand(_maker(node, 0), index), names)
        for index in (SCALE, ZERO_POINT)
    ]
    rounded = add_weight(beside, f"{SIDE}{layer.weight}", _stored(node), names)
    quantize = ir.node("QuantizeLinear", [layer.input, *parts])
    restore = ir.node("DequantizeLinear", [quantize.outputs[0], *parts])
    attributes = list(layer.node.attributes.values())
    again = ir.Node("", layer.node.op_type, [restore.outputs[0], rounded, layer.node.inputs[BIAS]], attributes)
    lacks = ir.node("Sub", [layer.node.outputs[0], again.outputs[0]])
    for one, kind in ((quantize, "q"), (restore, "dq"), (again, "again")):
        one.outputs[0].name = names(f"{SIDE}{layer.weight}_{kind}")
    lacks.outputs[0].name = pair.shift
    beside.graph.insert_after(layer.node, [quantize, restore, again, lacks])


def _maker(node: ir.Node, index: int) -> ir.Node:
    """What makes an operand of a quantized layer."""
    value = node.inputs[index]
    maker = value.producer() if value is not None else None
    assert maker is not None
    return maker


def _stored(node: ir.Node) -> F32:
    """The weight as a quantized layer reads it, float32."""
    restore = _maker(node, WEIGHT)
    levels = read_operand(restore, 0).astype(np.float32)
    shape = [1] * levels.ndim
    shape[restore.attributes.get_int("axis", 1)] = -1
    return np.asarray(levels * read_operand(restore, SCALE).reshape(shape), np.float32)


def _channel_means(layer: Layer, x: Array) -> F64:
    """Mean of every channel over the places, ``[samples, channels]``."""
    if layer.kind == "conv":
        return np.asarray(x.reshape(*x.shape[:2], -1).mean(2, dtype=np.float64))
    return np.asarray(x.reshape(len(x), -1, x.shape[-1]).mean(1, dtype=np.float64))
