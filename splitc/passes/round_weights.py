"""Round weights as an engine of fewer bits stores them: for asking what a precision would cost in answers.

1. fp16: every float initializer to the nearest float16.
2. int8: initializers of two dimensions or more to 255 even levels, symmetric, one scale for each index of axis 0.
3. Types and names stay; activations are not touched, so the real engine's answers differ a little more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import onnx_ir as ir

from splitc.passes.base import PassResult
from splitc.types import Array

LEVELS = 127


@dataclass(frozen=True)
class RoundWeights:
    """Round the weights of a copy of the model."""

    name: ClassVar[str] = "round_weights"
    precision: Literal["fp16", "int8"]

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing: weights that are not float32 are left alone."""
        rounded = model.clone()
        count = 0
        for value in rounded.graph.initializers.values():
            if value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
                continue
            weights = self._rounded(value.const_value.numpy())
            value.const_value = ir.tensor(weights.astype(np.float32), name=value.name)
            count += 1
        return PassResult(rounded, count > 0, (f"rounded {count} weight tensors to {self.precision}",))

    def _rounded(self, weights: Array) -> Array:
        if self.precision == "fp16":
            return weights.astype(np.float16)
        if weights.ndim < 2:
            return weights
        largest: Array = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
        scale = np.where(largest > 0, largest, 1) / LEVELS
        whole: Array = np.rint(weights / scale) * scale
        return whole
