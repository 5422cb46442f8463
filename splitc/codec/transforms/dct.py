"""Blocks of 2 x 2 neighbours of every channel."""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.transforms.base import Transform


class Dct(Transform):
    """A 2 x 2 cosine transform of every channel, four operations an element; a step for each channel and frequency.

    Smooth maps gain; those with many zeros do not.
    """

    name: ClassVar[str] = "dct"
    wire_id: ClassVar[int] = 1

    @property
    def block(self) -> int:
        return 2
