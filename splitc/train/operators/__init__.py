"""ONNX operators as torch functions, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from splitc.train.operators.arithmetic import ARITHMETIC, TYPES
from splitc.train.operators.call import NodeCall, Operator, Tensor
from splitc.train.operators.layers import LAYERS, pool_fault, transposed_fault
from splitc.train.operators.resize import RESIZING, resize_fault
from splitc.train.operators.shapes import SHAPES, tensor_from

OPERATORS: Mapping[str, Operator] = {**ARITHMETIC, **LAYERS, **SHAPES, **RESIZING}
FAULTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "AveragePool": pool_fault,
    "Cast": lambda attributes: "" if attributes.get("to") in TYPES else "a cast to this type is not converted",
    "ConvTranspose": transposed_fault,
    "MaxPool": pool_fault,
    "Resize": resize_fault,
    "Upsample": lambda attributes: resize_fault({**attributes, "coordinate_transformation_mode": "asymmetric"}),
}
"""Operator -> why its attributes keep it from being converted, or nothing."""

__all__ = ["FAULTS", "OPERATORS", "NodeCall", "Operator", "Tensor", "tensor_from"]
