"""Let layers of a quantized model compute in float again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import onnx_ir as ir
from onnx_ir.passes import common

from splitc.passes.base import PassResult
from splitc.passes.edit_weights import add_weight, put_operand, read_operand, read_weight
from splitc.passes.layers import BIAS, WEIGHT

QUANTIZED = "splitc.quantized"
"""What a DequantizeLinear that we made for a weight remembers, in memory alone: the weight's name before."""


@dataclass(frozen=True, eq=False)
class LiftLayers:
    """Undo what :class:`splitc.passes.QuantizeStatic` did to some layers, and to no others.

    1. The layer reads its activation and its weight as they were in ``original``, with the bias it had there.
    2. Q/DQ that no other layer reads is removed.

    Attributes:
        original: The float model that was quantized, equalized as the quantized one is.
        weights: Names of the weights of the layers.
    """

    name: ClassVar[str] = "lift_layers"
    original: ir.Model = field(repr=False)
    weights: frozenset[str]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; names of layers that are in float already, or unknown, are passed over."""
        lifted = model.clone()
        before = {node.outputs[0].name: node for node in self.original.graph}
        count = 0
        for node, weight in list(quantized_layers(lifted)):
            if weight in self.weights:
                self._lift(lifted, node, weight, before[node.outputs[0].name])
                count += 1
        common.RemoveUnusedNodesPass()(lifted)
        return PassResult(lifted, bool(count), (f"{count} layers compute in float again",))

    def _lift(self, model: ir.Model, node: ir.Node, weight: str, before: ir.Node) -> None:
        restore = node.inputs[0]
        quantize = restore.producer() if restore is not None else None
        read = quantize.inputs[0].producer() if quantize is not None and quantize.inputs[0] is not None else None
        assert read is not None
        node.replace_input_with(0, read.inputs[0])
        node.replace_input_with(WEIGHT, add_weight(model, weight, read_weight(self.original, weight)))
        bias = before.inputs[BIAS] if len(before.inputs) > BIAS else None
        if bias is not None and bias.is_initializer():
            put_operand(model, node, BIAS, read_operand(before, BIAS))


def quantized_layers(model: ir.Model) -> Iterator[tuple[ir.Node, str]]:
    """Every layer whose weight :class:`splitc.passes.QuantizeStatic` quantized, and that weight's name before."""
    for node in model.graph:
        weight = node.inputs[WEIGHT] if node.op_type in ("Conv", "Gemm", "MatMul") else None
        restore = weight.producer() if weight is not None else None
        if restore is not None and QUANTIZED in restore.meta:
            yield node, restore.meta[QUANTIZED]
