"""No transform: planes are channels."""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.transforms.base import Transform


class NoTransform(Transform):
    """Channels are quantized as they are; right for features with many zeros, which a rotation would spread."""

    name: ClassVar[str] = "none"
    wire_id: ClassVar[int] = 0
