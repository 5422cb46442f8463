"""Symbols of any width <-> pixels of the widths that codecs have. Pure functions on arrays."""

from __future__ import annotations

from typing import cast

import numpy as np

from splitc.types import Symbols

LEAST_SIDE = 16
"""x265 takes no smaller picture."""
MOST_SIDE = 8192
"""Longest side of a picture; FORMAT.md, "Limits"."""
BLOCK_MARGIN = 64
"""Decoders count pixels in whole blocks; no block is larger."""


def symbol_type(bits: int) -> type[np.uint8] | type[np.uint16]:
    """uint8 up to 8 bits, uint16 above."""
    return np.uint8 if bits <= 8 else np.uint16


def pixels_from_symbols(symbols: Symbols, bits: int, depth: int) -> Symbols:
    """Spread ``0 .. 2**bits - 1`` over ``0 .. 2**depth - 1``; halves go up."""
    return _scaled(symbols, bits, depth)


def symbols_from_pixels(pixels: Symbols, bits: int, depth: int) -> Symbols:
    """Invert :func:`pixels_from_symbols`, and round what lies between."""
    return _scaled(pixels, depth, bits)


def _scaled(values: Symbols, bits: int, new_bits: int) -> Symbols:
    if bits == new_bits:
        return values
    top, new_top = (np.uint32((1 << each) - 1) for each in (bits, new_bits))
    scaled = (values.astype(np.uint32) * new_top + top // np.uint32(2)) // top
    return cast(Symbols, scaled.astype(symbol_type(new_bits)))


def padded_shape(shape: tuple[int, int], least: int = LEAST_SIDE) -> tuple[int, int]:
    """``(height, width)`` as encoders take it: even sides of at least ``least``."""
    height, width = (max(side + side % 2, least) for side in shape)
    return height, width


def padding(shape: tuple[int, int], least: int = LEAST_SIDE) -> tuple[tuple[int, int], tuple[int, int]]:
    """What to add below and to the right of a picture of ``shape`` to make it one of :func:`padded_shape`."""
    height, width = padded_shape(shape, least)
    return (0, height - shape[0]), (0, width - shape[1])


def padded(pixels: Symbols) -> Symbols:
    """``[H, W]`` with even sides of at least 16, the border repeated."""
    return cast(Symbols, np.pad(pixels, padding((pixels.shape[0], pixels.shape[1])), "edge"))


def most_pixels(height: int, width: int) -> int:
    """Most pixels that a decoder of such pictures may count."""
    return (height + BLOCK_MARGIN) * (width + BLOCK_MARGIN)
