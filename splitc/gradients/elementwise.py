"""Pulls through operators that work value by value."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from splitc.gradients.builder import BackStep, Pulls

FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def identity(at: BackStep) -> Pulls:
    return {0: at.pull}


def cast(at: BackStep) -> Pulls:
    """Straight through where it rounds to half precision: pulls stay float32."""
    types = at.x().dtype, at.y.dtype
    if any(one not in (*FLOATS, ir.DataType.FLOAT16, ir.DataType.BFLOAT16) for one in types):
        raise at.refusal("it leaves numbers with a fraction")
    if ir.DataType.DOUBLE not in types:
        return {0: at.pull}
    is_wide = types[0] == ir.DataType.DOUBLE
    return {0: at.op("Cast", at.pull, to=int(ir.DataType.DOUBLE if is_wide else ir.DataType.FLOAT))}


def add(at: BackStep) -> Pulls:
    return {index: at.shrunk(at.pull, index) for index in at.wanted}


def subtract(at: BackStep) -> Pulls:
    signed = {0: at.pull} | ({1: at.op("Neg", at.pull)} if 1 in at.wanted else {})
    return {index: at.shrunk(signed[index], index) for index in at.wanted}


def multiply(at: BackStep) -> Pulls:
    return {index: at.shrunk(at.op("Mul", at.pull, at.x(1 - index)), index) for index in at.wanted}


def divide(at: BackStep) -> Pulls:
    by = at.op("Div", at.pull, at.x(1))
    pulls = {}
    if 0 in at.wanted:
        pulls[0] = at.shrunk(by, 0)
    if 1 in at.wanted:
        pulls[1] = at.shrunk(at.op("Neg", at.op("Mul", by, at.y)), 1)
    return pulls


def power(at: BackStep) -> Pulls:
    at.only()
    exponent = float(at.number(1).reshape(-1)[0])
    if at.number(1).size != 1:
        raise at.refusal("several exponents")
    slope = at.op("Mul", at.op("Pow", at.x(), at.constant(exponent - 1)), at.constant(exponent))
    return {0: at.op("Mul", at.pull, slope)}


def clip(at: BackStep) -> Pulls:
    """0 where a bound holds."""
    at.only()
    return {0: at.op("Mul", at.pull, _as_float(at, at.op("Equal", at.x(), at.y)))}


def leaky_relu(at: BackStep) -> Pulls:
    slope = at.attribute("alpha", 0.01)
    assert isinstance(slope, float | int), "checked with the graph"
    return {0: at.op("Where", _is_positive(at, at.x()), at.pull, at.scaled(at.pull, float(slope)))}


def p_relu(at: BackStep) -> Pulls:
    at.only()
    return {0: at.op("Where", _is_positive(at, at.x()), at.pull, at.op("Mul", at.pull, at.x(1)))}


def hard_sigmoid(at: BackStep) -> Pulls:
    slope = at.attribute("alpha", 0.2)
    assert isinstance(slope, float | int), "checked with the graph"
    return {0: at.op("Mul", at.pull, at.scaled(_between(at, at.y, 0.0, 1.0), float(slope)))}


def hard_swish(at: BackStep) -> Pulls:
    """``x * clip(x / 6 + 1 / 2, 0, 1)``: the gate, and a sixth of ``x`` where it moves."""
    gate = at.op("HardSigmoid", at.x(), alpha=1 / 6, beta=0.5)
    moved = at.op("Mul", at.scaled(at.x(), 1 / 6), _between(at, gate, 0.0, 1.0))
    return {0: at.op("Mul", at.pull, at.op("Add", gate, moved))}


def gelu(at: BackStep) -> Pulls:
    if at.attribute("approximate", "none") != "none":
        raise at.refusal("its approximation")
    x = at.x()
    share = at.op("Add", at.scaled(at.op("Erf", at.scaled(x, math.sqrt(0.5))), 0.5), at.constant(0.5))
    density = at.scaled(at.op("Exp", at.scaled(at.op("Mul", x, x), -0.5)), 1 / math.sqrt(2 * math.pi))
    return {0: at.op("Mul", at.pull, at.op("Add", share, at.op("Mul", x, density)))}


def where(at: BackStep) -> Pulls:
    zero, pulls = at.constant(0.0), {}
    if 1 in at.wanted:
        pulls[1] = at.shrunk(at.op("Where", at.x(0), at.pull, zero), 1)
    if 2 in at.wanted:
        pulls[2] = at.shrunk(at.op("Where", at.x(0), zero, at.pull), 2)
    return pulls


def extreme(at: BackStep) -> Pulls:
    """Of Max and Min: the inputs that are it."""
    return {i: at.shrunk(at.op("Mul", at.pull, _as_float(at, at.op("Equal", at.x(i), at.y))), i) for i in at.wanted}


def dequantize(at: BackStep) -> Pulls:
    at.only()
    return {0: at.op("Mul", at.pull, _one_scale(at))}


def quantize(at: BackStep) -> Pulls:
    """Straight through: rounding is noise around the identity, and clipping is rare."""
    at.only()
    return {0: at.op("Div", at.pull, _one_scale(at))}


def _one_scale(at: BackStep) -> ir.Value:
    if at.number(1).size != 1:
        raise at.refusal("a scale a channel")
    return at.constant(np.float32(at.number(1).reshape(())))


def by_slope(slope: Callable[[BackStep], ir.Value]) -> Callable[[BackStep], Pulls]:
    """The rule of an operator of one input with this derivative."""

    def rule(at: BackStep) -> Pulls:
        return {0: at.op("Mul", at.pull, slope(at))}

    return rule


def _is_positive(at: BackStep, x: ir.Value) -> ir.Value:
    return at.op("Greater", x, at.constant(0.0))


def _as_float(at: BackStep, flag: ir.Value) -> ir.Value:
    return at.op("Cast", flag, to=int(ir.DataType.FLOAT))


def _between(at: BackStep, x: ir.Value, low: float, high: float) -> ir.Value:
    """1 where ``x`` is strictly between, else 0."""
    inside = at.op("And", at.op("Greater", x, at.constant(low)), at.op("Less", x, at.constant(high)))
    return _as_float(at, inside)


def _one_minus_square(at: BackStep, y: ir.Value) -> ir.Value:
    return at.op("Sub", at.constant(1.0), at.op("Mul", y, y))


RULES: dict[str, Callable[[BackStep], Pulls]] = {
    "Identity": identity,
    "Dropout": identity,
    "Cast": cast,
    "Add": add,
    "Sub": subtract,
    "Mul": multiply,
    "Div": divide,
    "Pow": power,
    "Clip": clip,
    "LeakyRelu": leaky_relu,
    "PRelu": p_relu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Gelu": gelu,
    "Where": where,
    "Max": extreme,
    "Min": extreme,
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "Relu": by_slope(lambda at: _as_float(at, _is_positive(at, at.y))),
    "Neg": lambda at: {0: at.op("Neg", at.pull)},
    "Abs": by_slope(lambda at: at.op("Sign", at.x())),
    "Exp": by_slope(lambda at: at.y),
    "Log": by_slope(lambda at: at.op("Reciprocal", at.x())),
    "Sqrt": by_slope(lambda at: at.scaled(at.op("Reciprocal", at.y), 0.5)),
    "Reciprocal": by_slope(lambda at: at.op("Neg", at.op("Mul", at.y, at.y))),
    "Sigmoid": by_slope(lambda at: at.op("Mul", at.y, at.op("Sub", at.constant(1.0), at.y))),
    "Tanh": by_slope(lambda at: _one_minus_square(at, at.y)),
    "Softplus": by_slope(lambda at: at.op("Sigmoid", at.x())),
    "Erf": by_slope(
        lambda at: at.scaled(at.op("Exp", at.op("Neg", at.op("Mul", at.x(), at.x()))), 2 / math.sqrt(math.pi))
    ),
}
