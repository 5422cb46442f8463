"""Where a picture lies in a network's input; readers of pictures say it, so the type is everyone's."""

from __future__ import annotations

from splitc.types import Placement

__all__ = ["Placement"]
