"""Channels side by side in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from splitc.codec.tilings.base import Tiling, filled, grid_of, maps_shape
from splitc.types import Symbols


class Mosaic(Tiling):
    """One picture a sample: channel c at row ``c // columns``, column ``c % columns`` of a near-square grid.

    Source: "HEVC-tiling" of the IFMDC paper (256 maps as a 16 x 16 grid). Empty cells are zero.
    """

    name: ClassVar[str] = "mosaic"
    wire_id: ClassVar[int] = 1

    def frames_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        count, channels, height, width = maps_shape(self.name, shape)
        rows, columns = grid_of(channels)
        return count, rows * height, columns * width

    def tile(self, symbols: Symbols) -> Symbols:
        return mosaics_of(symbols.reshape(maps_shape(self.name, symbols.shape)))

    def untile(self, frames: Symbols, shape: Sequence[int]) -> Symbols:
        self.check_frames(frames, shape)
        return maps_of(frames, maps_shape(self.name, shape)).reshape(shape)


def mosaics_of(maps: Symbols) -> Symbols:
    """``[n, C, H, W]`` to contiguous ``[n, rows * H, columns * W]``."""
    count, channels, height, width = maps.shape
    rows, columns = grid_of(channels)
    cells = filled(maps, rows * columns, 0).reshape(count, rows, columns, height, width)
    side_by_side: Symbols = np.ascontiguousarray(cells.transpose(0, 1, 3, 2, 4))
    return side_by_side.reshape(count, rows * height, columns * width)


def maps_of(frames: Symbols, shape: tuple[int, int, int, int]) -> Symbols:
    """Invert :func:`mosaics_of`; contiguous ``[n, C, H, W]`` of ``shape``."""
    count, channels, height, width = shape
    rows, columns = grid_of(channels)
    cells = frames.reshape(count, rows, height, columns, width).transpose(0, 1, 3, 2, 4)
    maps: Symbols = np.ascontiguousarray(cells.reshape(count, rows * columns, height, width)[:, :channels])
    return maps
