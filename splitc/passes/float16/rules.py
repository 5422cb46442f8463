"""Which nodes float16 would damage, told from weights, attributes and calibrated ranges.

Overflow. A weight beyond 65,504; a tensor that comes within a factor 2 of it on calibration samples: its node and its
readers. A sum over many elements whose terms come within a factor 8: engines may add up in float16.

Vanishing. An epsilon or a constant that float16 holds as zero, and the square roots and divisions behind it; a tensor
that lies below the smallest normal number as a whole; what is divided by, or has its root or logarithm taken, with
values below it.

What only may be damaged (a reach within a factor 16, a large offset with a small spread) is a *suspect*: measured, one
by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from splitc.passes.float16.limits import LARGEST, SMALLEST_NORMAL, VANISHING
from splitc.passes.float16.ranges import TensorRange
from splitc.types import Array

HEADROOM, SUM_HEADROOM, SUSPECT_HEADROOM = 2, 8, 16
SUSPECT_OFFSET = 64
"""Mean by standard deviation: of 11 bits, 6 then hold the offset."""
AVERAGES = frozenset({"AveragePool", "GlobalAveragePool", "ReduceL1", "ReduceMean", "ReduceSum"})
SQUARES = frozenset({"GlobalLpPool", "LpNormalization", "ReduceL2", "ReduceSumSquare"})
DIVISORS: Mapping[str, int] = {"Div": 1, "Log": 0, "Pow": 0, "Reciprocal": 0, "Sqrt": 0}
"""Operator -> the operand whose smallest values decide."""


_SCALED = ("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LayerNormalization")
_PRODUCTS = ("Conv", "ConvTranspose", "Div", "Gemm", "MatMul", "Mul", "Pow")
FACTORS: Mapping[str, tuple[int, ...]] = dict.fromkeys(_PRODUCTS, (0, 1)) | dict.fromkeys(_SCALED, (1,))
"""Operator -> operands whose size the result has."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        ranges: Of tensors, by name; empty without samples.
    """

    ranges: Mapping[str, TensorRange] = field(default_factory=dict)

    def of(self, value: ir.Value | None) -> TensorRange:
        """The range of a value; an empty one where it is not known."""
        return self.ranges.get("" if value is None else value.name or "", TensorRange())


def damaged(model: ir.Model, facts: Facts) -> dict[str, str]:
    """Names of nodes that must stay float32 -> why."""
    found: dict[str, str] = {}
    for node in model.graph:
        why = next((why for rule in _RULES if (why := rule(node, facts))), None)
        if why is not None:
            found[node.name or ""] = why
            if _is_vanishing(why):
                found |= {one.name or "": f"follows {node.name!r}: {why}" for one in _divisions_behind(node)}
        for value in _small_operands(node, facts):
            source = value.producer()
            if source is not None:
                found.setdefault(source.name or "", f"{node.name!r} needs its smallest values")
    return found


def suspects(model: ir.Model, facts: Facts) -> list[str]:
    """Names of nodes to measure, the most suspicious first."""
    scores = {node.name or "": _suspicion(node, facts) for node in model.graph}
    return sorted((name for name, score in scores.items() if score >= 1), key=lambda name: -scores[name])


def _suspicion(node: ir.Node, facts: Facts) -> float:
    reach = max((facts.of(value).largest for value in node.outputs), default=0.0) / (LARGEST / SUSPECT_HEADROOM)
    offset = max((facts.of(value).offset for value in (*node.inputs, *node.outputs)), default=0.0) / SUSPECT_OFFSET
    return max(reach, offset)


def _weight_overflows(node: ir.Node, facts: Facts) -> str | None:
    for value, array in _constants(node):
        top = float(np.max(np.abs(array), where=np.isfinite(array), initial=0.0))
        if top > LARGEST:
            return f"weight {value.name!r} reaches {top:.3g}; float16 ends at 65,504"
    return None


def _tensor_overflows(node: ir.Node, facts: Facts) -> str | None:
    for value in (*node.outputs, *node.inputs):
        top = facts.of(value).largest
        if value is not None and top > LARGEST / HEADROOM:
            return f"{value.name!r} reaches {top:.3g} on calibration samples; float16 ends at 65,504"
    return None


def _sum_overflows(node: ir.Node, facts: Facts) -> str | None:
    if node.op_type not in AVERAGES | SQUARES:
        return None
    operand, results = facts.of(node.inputs[0]), facts.of(node.outputs[0]).elements or 1
    terms = (operand.energy if node.op_type in SQUARES else operand.total) / results
    if terms <= LARGEST / SUM_HEADROOM:
        return None
    return f"its terms sum up to {terms:.3g} on calibration samples; float16 ends at 65,504"


def _epsilon_vanishes(node: ir.Node, facts: Facts) -> str | None:
    epsilon = node.attributes.get("epsilon")
    if epsilon is not None and 0 < epsilon.as_float() <= VANISHING:
        return f"epsilon {epsilon.as_float():.3g} {_ZERO}"
    return None


def _constant_vanishes(node: ir.Node, facts: Facts) -> str | None:
    """A factor or a divisor; what is added, or limits, only where something is divided by the result."""
    divides = None if node.op_type not in DIVISORS else node.inputs[DIVISORS[node.op_type]]
    for value, array in _constants(node):
        sizes = np.abs(array[np.isfinite(array) & (array != 0)])
        judged = float("inf") if not sizes.size else float(sizes.min() if value is divides else sizes.max())
        if judged >= SMALLEST_NORMAL or not (_is_factor(node, value) or any(_divisions_behind(node))):
            continue
        if judged <= VANISHING:
            return f"constant {value.name!r} ({judged:.3g}) {_ZERO}"
        return f"constant {value.name!r} ({judged:.3g}) is below float16's normal numbers"
    return None


def _is_factor(node: ir.Node, value: ir.Value) -> bool:
    positions = FACTORS.get(node.op_type, ())
    return any(index in positions for index, one in enumerate(node.inputs) if one is value)


def _variance_vanishes(node: ir.Node, facts: Facts) -> str | None:
    """Engines make one scale of a batch normalization's weights."""
    weights = [value.const_value for value in node.inputs[1:] if value is not None]
    if node.op_type != "BatchNormalization" or len(weights) < 4 or weights[0] is None or weights[3] is None:
        return None
    scale, variance = (np.abs(weights[index].numpy()).astype(np.float64) for index in (0, 3))  # type: ignore[union-attr]
    wide = variance + node.attributes.get_float("epsilon", 1e-5)
    if float(wide.min()) < SMALLEST_NORMAL / 8:
        return f"a variance of {float(variance.min()):.3g} is below float16's normal numbers"
    top = float((scale / np.sqrt(wide)).max())
    return f"its scale reaches {top:.3g}; float16 ends at 65,504" if top > LARGEST / HEADROOM else None


def _tensor_vanishes(node: ir.Node, facts: Facts) -> str | None:
    for value in (*node.outputs, *node.inputs):
        top = facts.of(value).largest
        if value is not None and 0 < top < SMALLEST_NORMAL:
            return f"{value.name!r} reaches {top:.3g} only; float16's normal numbers begin at 6.1e-05"
    return None


def _divisor_vanishes(node: ir.Node, facts: Facts) -> str | None:
    for value in _small_operands(node, facts):
        return (
            f"{node.op_type} of values down to {facts.of(value).smallest:.3g}; "
            "float16's normal numbers begin at 6.1e-05"
        )
    return None


_ZERO = "is zero in float16"
_RULES: tuple[Callable[[ir.Node, Facts], str | None], ...] = (
    _weight_overflows,
    _tensor_overflows,
    _sum_overflows,
    _epsilon_vanishes,
    _constant_vanishes,
    _variance_vanishes,
    _tensor_vanishes,
    _divisor_vanishes,
)


def _is_vanishing(why: str) -> bool:
    """Whether a constant is lost, so that what divides by the result must not round it either."""
    return why.endswith(_ZERO)


def _divisions_behind(node: ir.Node) -> Iterator[ir.Node]:
    """Roots, logarithms and divisions by the node's result, one behind the other."""
    todo = [node]
    while todo:
        for value in todo.pop().outputs:
            for use in value.uses():
                if DIVISORS.get(use.node.op_type) == use.idx and use.node.graph is node.graph:
                    yield use.node
                    todo.append(use.node)


def _small_operands(node: ir.Node, facts: Facts) -> list[ir.Value]:
    """The operand that decides, where some of its values are not zero but below the normal numbers."""
    index = DIVISORS.get(node.op_type)
    if index is None or index >= len(node.inputs):
        return []
    value = node.inputs[index]
    return [value] if value is not None and facts.of(value).smallest < SMALLEST_NORMAL else []


def _constants(node: ir.Node) -> Iterator[tuple[ir.Value, Array]]:
    for value in node.inputs:
        if value is not None and value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
            yield value, value.const_value.numpy()
