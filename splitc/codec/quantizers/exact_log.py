"""Logarithm and power to base 2 with the same bits everywhere.

No two libraries agree on the last bit of a logarithm, so these are made of float32 operations that IEEE 754 defines
exactly. The argument is brought into [1, 2) (or [0, 1)) by comparisons and by products with powers of two, which lose
nothing; a polynomial does the rest, its products and sums rounded one after the other, never fused. Its constant term
is 0, so that powers of two have exact logarithms and whole numbers exact powers. FORMAT.md section 9 lists the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.codec.quantizers.operators import Operators, T

LOG2 = (
    1.4426898956298828,
    -0.7211657762527466,
    0.4786836802959442,
    -0.34730106592178345,
    0.24186472594738007,
    -0.13752128183841705,
    0.052058957517147064,
    -0.009309151209890842,
)
"""log2(1 + u) = LOG2[0] u + LOG2[1] u**2 + ... for u in [0, 1), within 2.1e-7 in float32 arithmetic; least squares
reweighted towards the least maximum. Every number is a float32."""
EXP2 = (
    0.6931470036506653,
    0.24022990465164185,
    0.05548248812556267,
    0.009681169874966145,
    0.0012414922239258885,
    0.000217946624616161,
)
"""2**u - 1 = EXP2[0] u + EXP2[1] u**2 + ... for u in [0, 1), within 1.0e-7."""
LARGEST = float(np.nextafter(np.float32(128), np.float32(0)))
"""Largest exponent of a float32 power of two."""
_POWERS = (64, 32, 16, 8, 4, 2, 1)


def log2(ops: Operators[T], x: T) -> T:
    """``log2(x)`` for finite float32 ``x >= 1``, within 2.1e-7 beside the rounding of the result."""
    one, zero = _number(ops, 1.0), _number(ops, 0.0)
    whole = zero
    for power in _POWERS:
        is_below = ops.op("Less", x, _number(ops, 2.0**power))
        x = ops.op("Mul", x, ops.op("Where", is_below, one, _number(ops, 2.0**-power)))
        whole = ops.op("Add", whole, ops.op("Where", is_below, zero, _number(ops, power)))
    return ops.op("Add", whole, _polynomial(ops, LOG2, ops.op("Sub", x, one)))


def exp2(ops: Operators[T], x: T) -> T:
    """``2**x`` for float32 ``x`` in [0, :data:`LARGEST`], within 1.3e-7 of its size; whatever is outside is clipped."""
    one, zero = _number(ops, 1.0), _number(ops, 0.0)
    x = ops.op("Clip", x, zero, _number(ops, LARGEST))
    scale = one
    for power in _POWERS:
        is_below = ops.op("Less", x, _number(ops, power))
        x = ops.op("Sub", x, ops.op("Where", is_below, zero, _number(ops, power)))
        scale = ops.op("Mul", scale, ops.op("Where", is_below, one, _number(ops, 2.0**power)))
    return ops.op("Mul", scale, ops.op("Add", _polynomial(ops, EXP2, x), one))


def _polynomial(ops: Operators[T], coefficients: Sequence[float], u: T) -> T:
    """``coefficients[0] u + coefficients[1] u**2 + ...`` by Horner's rule."""
    total = _number(ops, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = ops.op("Add", ops.op("Mul", total, u), _number(ops, coefficient))
    return ops.op("Mul", total, u)


def _number(ops: Operators[T], value: float) -> T:
    return ops.constant(f"{value:.9g}", np.float32(value))
