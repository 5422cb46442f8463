"""FP16: graphs whose numbers fit it, and the arithmetic that it names."""

from __future__ import annotations

from splitc.passes.float16.emulate import computes_in_float16, float16_arithmetic
from splitc.passes.float16.first_fault import NodeFault, first_not_finite
from splitc.passes.float16.lower import ToFloat16

__all__ = ["NodeFault", "ToFloat16", "computes_in_float16", "first_not_finite", "float16_arithmetic"]
