"""What a tiling is, and the grid that two of them share. Pure functions on arrays; FORMAT.md section "Tilings"."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from splitc.errors import CodecError
from splitc.registry import Component
from splitc.types import Symbols

MOST_LOPSIDED = 2
"""A grid without empty cells is taken if its longer side is at most this many times the shorter one."""


class Tiling(Component):
    """One arrangement of channels. Symbols are uint8 or uint16; ``untile(tile(x), x.shape)`` is ``x``."""

    wire_id: ClassVar[int]
    """FORMAT.md, section "Tilings"; never reused."""

    @abstractmethod
    def frames_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """``(frames, height, width)`` that :meth:`tile` makes of an array of ``shape``.

        Raises:
            CodecError: Too few dimensions, or an empty one.
        """

    @abstractmethod
    def tile(self, symbols: Symbols) -> Symbols:
        """Symbols ``[n, C, ...]`` as pictures ``[frames, height, width]``.

        Raises:
            CodecError: Too few dimensions, or an empty one.
        """

    @abstractmethod
    def untile(self, frames: Symbols, shape: Sequence[int]) -> Symbols:
        """Invert :meth:`tile`.

        Args:
            frames: ``[frames, height, width]``.
            shape: Of the symbols, ``[n, C, ...]``.

        Raises:
            CodecError: ``frames`` are not of the shape that ``shape`` asks for.
        """

    def check_frames(self, frames: Symbols, shape: Sequence[int]) -> None:
        """Raises: CodecError: ``frames`` are not what symbols of ``shape`` become."""
        wanted = self.frames_shape(shape)
        if frames.shape != wanted:
            raise CodecError(f"{self.name}: frames have shape {list(frames.shape)}, must be {list(wanted)}.")


def maps_shape(name: str, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """``[n, C, ...]`` as ``(n, C, H, W)``: the last axis is W, those before it are H; 1 where there are none.

    Raises:
        CodecError: Fewer than two dimensions, or an empty one.
    """
    if len(shape) < 2 or min(shape) < 1:
        raise CodecError(f"{name}: symbols of shape {list(shape)} cannot be tiled, must be [n, C, ...] and not empty.")
    inner = shape[2:] or (1,)
    return shape[0], shape[1], math.prod(inner[:-1]), inner[-1]


def grid_of(channels: int) -> tuple[int, int]:
    """``(rows, columns)`` of a near-square grid, ``columns >= rows``.

    Without empty cells where that is at most :data:`MOST_LOPSIDED` (256: 16 x 16, 2048: 32 x 64, 480: 20 x 24),
    else the smallest square-like one (7: 3 x 3).
    """
    least = math.isqrt(channels - 1) + 1
    for columns in range(least, channels + 1):
        rows = channels // columns
        if columns > MOST_LOPSIDED * max(rows, 1):
            break
        if rows * columns == channels:
            return rows, columns
    return -(-channels // least), least


def filled(maps: Symbols, cells: int, value: Symbols | int) -> Symbols:
    """``[n, C, H, W]`` lengthened to ``cells`` channels by ``value``."""
    count, channels, height, width = maps.shape
    if cells == channels:
        return maps
    more = np.broadcast_to(np.asarray(value, maps.dtype), (count, cells - channels, height, width))
    return np.concatenate([maps, more], axis=1)
