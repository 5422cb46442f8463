"""What the rANS coder's contexts are made of: an expected sum and an activity a position (FORMAT.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.types import U8

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ContextInputs:
    """Of every position of ``[planes, H, W]`` tokens.

    Attributes:
        expected: About twice the token to expect; -1 where there is nothing to expect it from.
        activity: How far the neighbours are from each other, or from their previous frame.
    """

    expected: I32
    activity: I32


def spatial_inputs(tokens: U8) -> ContextInputs:
    """``W + N`` and ``|W - NW| + |N - NW|``; each plane's first position expects nothing."""
    west, north, north_west = _neighbours(tokens.astype(np.int32))
    expected = west + north
    expected[:, 0, 0] = -1
    return ContextInputs(expected, np.asarray(np.abs(west - north_west) + np.abs(north - north_west)))


def temporal_inputs(tokens: U8, previous: U8, bits: int) -> ContextInputs:
    """``2 P + dW + dN``, limited to sums of two tokens, and ``|dW| + |dN|``; d: the neighbour's change."""
    at = previous.astype(np.int32)
    west, north, _ = _neighbours(tokens.astype(np.int32) - at)
    expected = np.clip(2 * at + west + north, 0, 2 * ((1 << bits) - 1))
    return ContextInputs(np.asarray(expected), np.asarray(np.abs(west) + np.abs(north)))


def _neighbours(s: I32) -> tuple[I32, I32, I32]:
    """W, N and NW; FORMAT.md, "Neighbours". Zeros where a position has none."""
    west, north, north_west = np.zeros_like(s), np.zeros_like(s), np.zeros_like(s)
    west[:, :, 1:], north[:, 1:], north_west[:, 1:, 1:] = s[:, :, :-1], s[:, :-1], s[:, :-1, :-1]
    for stands_in in (west, north_west):
        stands_in[:, 1:, 0] = north[:, 1:, 0]
    for stands_in in (north, north_west):
        stands_in[:, 0] = west[:, 0]
    return west, north, north_west
