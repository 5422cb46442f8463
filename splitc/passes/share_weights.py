"""Shared weights: every layer's nonzero weights from a codebook of its own (RT14); zeros stay zero.

1. Each layer by itself, ``2**bits - 1`` values and zero; few distinct values stay as they are.
2. The graph keeps float weights: engines run as before, only the packed weights shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from splitc.passes.base import PassResult
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import layers_of
from splitc.weights import Init, share, share_rate


@dataclass(frozen=True)
class ShareWeights:
    """k-means in every layer.

    Attributes:
        conv_bits, fc_bits: Bits a code in convolutions and in fully connected layers.
        init: Where k-means begins.
    """

    name: ClassVar[str] = "share_weights"
    conv_bits: int
    fc_bits: int
    init: Init = "linear"

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CodecError: Bits that are out of range."""
        changed = model.clone()
        layers, before, after = layers_of(changed), 0, 0.0
        for layer in layers:
            bits = self.conv_bits if layer.role == "conv" else self.fc_bits
            weights = read_weight(changed, layer.weight)
            put_weight(changed, layer, share(weights, bits, self.init))
            before, after = before + weights.size, after + weights.size / share_rate(weights.size, 1 << bits)
        note = f"shared weights: {len(layers)} layers, codes of {self.conv_bits} (conv) and {self.fc_bits} (fc) bits"
        rate = f"; codes and codebooks alone are {before / after:.2f} times smaller" if layers else ""
        return PassResult(changed, bool(layers), (note + rate,))
