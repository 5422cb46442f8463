"""Features of clips as a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import numpy as np

from splitc.codec.tilings.base import Tiling, grid_of, maps_shape
from splitc.codec.tilings.mosaic import maps_of, mosaics_of
from splitc.errors import CodecError
from splitc.types import Symbols


class Clip(Tiling):
    """``[n, C, T, H, W]`` as ``n * T`` pictures: a mosaic of the C maps for every time; time, then clips.

    Source: Xing et al. 2020; the paper leaves the packing open.
    """

    name: ClassVar[str] = "clip"
    wire_id: ClassVar[int] = 4

    def frames_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        frames, channels, height, width = self._times_first(shape)
        rows, columns = grid_of(channels)
        return frames, rows * height, columns * width

    def tile(self, symbols: Symbols) -> Symbols:
        shape = self._times_first(symbols.shape)
        return mosaics_of(np.moveaxis(symbols, 2, 1).reshape(shape))

    def untile(self, frames: Symbols, shape: Sequence[int]) -> Symbols:
        self.check_frames(frames, shape)
        maps = maps_of(frames, self._times_first(shape)).reshape(shape[0], shape[2], shape[1], *shape[3:])
        return cast(Symbols, np.ascontiguousarray(np.moveaxis(maps, 1, 2)))

    def _times_first(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """``(n * T, C, H, W)``."""
        if len(shape) < 5:
            raise CodecError(f"clip: symbols of shape {list(shape)} have no time, must be [n, C, T, H, W].")
        count, channels, times, *maps = shape
        return maps_shape(self.name, (count * times, channels, *maps))
