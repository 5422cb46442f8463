"""Every channel a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np

from splitc.codec.tilings.base import Tiling, maps_shape
from splitc.types import Symbols

MULTIPLE = 8
"""Sides are padded to multiples of this."""


class ChannelFrames(Tiling):
    """``n * C`` pictures in channel order, sides padded to multiples of 8 by repeating the border.

    Source: Chen et al. 2019, "repack".
    """

    name: ClassVar[str] = "channel_frames"
    wire_id: ClassVar[int] = 3

    def frames_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        count, channels, height, width = maps_shape(self.name, shape)
        return count * channels, _padded(height), _padded(width)

    def tile(self, symbols: Symbols) -> Symbols:
        count, channels, height, width = maps_shape(self.name, symbols.shape)
        maps = symbols.reshape(count * channels, height, width)
        more = [(0, 0), (0, _padded(height) - height), (0, _padded(width) - width)]
        return cast(Symbols, np.pad(maps, more, "edge"))

    def untile(self, frames: Symbols, shape: Sequence[int]) -> Symbols:
        self.check_frames(frames, shape)
        _, _, height, width = maps_shape(self.name, shape)
        return cast(Symbols, np.ascontiguousarray(frames[:, :height, :width]).reshape(shape))


def _padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
