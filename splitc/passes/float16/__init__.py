"""FP16 graphs computed with the arithmetic that they name."""

from __future__ import annotations

from splitc.passes.float16.emulate import computes_in_float16, float16_arithmetic
from splitc.passes.float16.first_fault import first_not_finite

__all__ = ["computes_in_float16", "first_not_finite", "float16_arithmetic"]
