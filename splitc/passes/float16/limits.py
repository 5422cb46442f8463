"""The numbers of IEEE 754 binary16 that everything here is measured against."""

from __future__ import annotations

LARGEST = 65504.0
"""The largest finite number; what rounds beyond it becomes infinite."""
SMALLEST_NORMAL = 2.0**-14
"""About 6.1e-5; below it every halving loses a bit of precision."""
VANISHING = 2.0**-25
"""About 3e-8; what is not above it rounds to zero."""
