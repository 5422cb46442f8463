"""Where a float16 graph first leaves the finite numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import run_with
from splitc.passes.float16.emulate import computes_in_float16, float16_arithmetic
from splitc.types import Feeds


class NodeFault(NamedTuple):
    """A node, and which of its results is not finite."""

    node: str
    tensor: str

    def __str__(self) -> str:
        """As the end of a sentence about NaN or infinities."""
        return f"node {self.node!r} is the first to give them, in {self.tensor!r}"


def first_not_finite(model: ir.Model, feeds: Feeds) -> NodeFault | None:
    """The first node whose result holds NaN or infinities though none of its operands does; None if none.

    Args:
        model: Computed as :func:`splitc.passes.float16_arithmetic` does.
        feeds: One sample.
    """
    made = [value.name for node in model.graph for value in node.outputs if value.name and _is_float(value)]
    found = next(iter(run_with(_emulated(model), made, [feeds])))
    bad = {name for name, array in {**feeds, **found}.items() if not _is_finite(array)}
    for node in model.graph:
        operands = {value.name for value in node.inputs if value is not None}
        lost = [value.name for value in node.outputs if value.name in bad]
        if lost and not operands & bad:
            return NodeFault(node.name or node.op_type, lost[0] or "")
    return None


def _emulated(model: ir.Model) -> ir.Model:
    return float16_arithmetic(model) if computes_in_float16(model) else model


def _is_float(value: ir.Value) -> bool:
    return isinstance(value.type, ir.TensorType) and value.dtype in (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
