"""Channels interleaved pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from splitc.codec.tilings.base import Tiling, filled, grid_of, maps_shape
from splitc.types import Symbols


class Quilt(Tiling):
    """One picture a sample: pixel ``(rows * y + r, columns * x + c)`` is ``(y, x)`` of channel ``columns * r + c``.

    Source: "HEVC-quilting" of the IFMDC paper (256 channels: ``(16 y + r, 16 x + c)`` from channel ``16 r + c``).
    Where the grid has more cells than there are channels, the last channel is repeated: a hole would be an edge.
    """

    name: ClassVar[str] = "quilt"
    wire_id: ClassVar[int] = 2

    def frames_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        count, channels, height, width = maps_shape(self.name, shape)
        rows, columns = grid_of(channels)
        return count, rows * height, columns * width

    def tile(self, symbols: Symbols) -> Symbols:
        maps: Symbols = symbols.reshape(maps_shape(self.name, symbols.shape))
        count, channels, height, width = maps.shape
        rows, columns = grid_of(channels)
        cells = filled(maps, rows * columns, maps[:, -1:]).reshape(count, rows, columns, height, width)
        woven: Symbols = np.ascontiguousarray(cells.transpose(0, 3, 1, 4, 2))
        return woven.reshape(count, rows * height, columns * width)

    def untile(self, frames: Symbols, shape: Sequence[int]) -> Symbols:
        self.check_frames(frames, shape)
        count, channels, height, width = maps_shape(self.name, shape)
        rows, columns = grid_of(channels)
        cells = frames.reshape(count, height, rows, width, columns).transpose(0, 2, 4, 1, 3)
        maps: Symbols = np.ascontiguousarray(cells.reshape(count, rows * columns, height, width)[:, :channels])
        return maps.reshape(shape)
