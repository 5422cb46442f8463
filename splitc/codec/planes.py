"""A tensor as planes, and planes as chunks (FORMAT.md section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from splitc.types import Symbols

CHUNK_ELEMENTS = 1 << 17
"""About how many elements a chunk holds; a larger plane is a chunk of its own."""


@dataclass(frozen=True)
class PlaneView:
    """A tensor seen as ``planes`` planes of ``height`` rows of ``width``; plane p is of channel p % channels."""

    planes: int
    channels: int
    height: int
    width: int
    is_whole: bool = False

    @classmethod
    def of(cls, shape: Sequence[int], channel_axis: int, *, is_whole: bool = False) -> PlaneView:
        """How a tensor of ``shape`` is seen; without such an axis it is one plane. ``is_whole``: one chunk."""
        if channel_axis >= len(shape):
            return cls(1, 1, math.prod(shape[:-1]), shape[-1], is_whole)
        batch = 1 if channel_axis == 0 else shape[0]
        channels = shape[channel_axis]
        inner = [size for axis, size in enumerate(shape) if axis not in (0, channel_axis)] or [1]
        return cls(batch * channels, channels, math.prod(inner[:-1]), inner[-1], is_whole)

    @property
    def elements(self) -> int:
        return self.planes * self.height * self.width

    @property
    def planes_per_chunk(self) -> int:
        """Planes in every chunk but the last, so that chunks are alike in size."""
        if self.is_whole:
            return self.planes
        wanted = -(-self.elements // CHUNK_ELEMENTS)
        return -(-self.planes // min(self.planes, wanted))

    @property
    def chunks(self) -> int:
        return -(-self.planes // self.planes_per_chunk)

    def chunk_bounds(self, chunk: int) -> tuple[int, int]:
        """First plane of ``chunk`` and the one after its last."""
        first = chunk * self.planes_per_chunk
        return first, min(first + self.planes_per_chunk, self.planes)


def as_planes(symbols: Symbols, channel_axis: int = 1) -> Symbols:
    """``symbols`` as contiguous ``[planes, H, W]``."""
    view = PlaneView.of(symbols.shape, channel_axis)
    ordered = symbols if channel_axis == 0 or channel_axis >= symbols.ndim else np.moveaxis(symbols, channel_axis, 1)
    return cast(Symbols, np.ascontiguousarray(ordered).reshape(view.planes, view.height, view.width))


def tensor_of(planes: Symbols, shape: Sequence[int], channel_axis: int) -> Symbols:
    """Inverse of :func:`as_planes`: contiguous, of ``shape``."""
    if channel_axis == 0 or channel_axis >= len(shape):
        return planes.reshape(shape)
    moved = [shape[0], shape[channel_axis], *(size for axis, size in enumerate(shape) if axis not in (0, channel_axis))]
    return cast(Symbols, np.ascontiguousarray(np.moveaxis(planes.reshape(moved), 1, channel_axis)))
