"""No prediction: every frame is a keyframe."""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.temporal.base import Temporal
from splitc.types import Symbols


class NoPrediction(Temporal):
    """Every packet decodes by itself; for pictures that have nothing to do with each other, and for lossy links."""

    name: ClassVar[str] = "none"
    wire_id: ClassVar[int] = 0

    def residual(self, symbols: Symbols, predicted: Symbols, count: int) -> Symbols:
        """The symbols themselves."""
        return symbols

    def restore(self, residual: Symbols, predicted: Symbols, count: int) -> Symbols:
        """The residual itself."""
        return residual
