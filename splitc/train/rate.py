"""Bits that the coder's tables give a code, with gradients.

A table of a channel gives each symbol the share of calibration values that fall into its bin. So the bits of a value
are minus the logarithm of a difference of the channel's distribution, at the two ends of its bin: the table that
fitting at that step would make, for any step. The coder's contexts take little off behind a block transform.
"""

from __future__ import annotations

import numpy as np
import torch

from splitc.train.operators import Tensor
from splitc.types import F32

GRID = 512
"""Places at which a channel's distribution is known; between them it is a line."""
LEAST_SHARE = 1e-5
"""Of a bin that calibration never saw: as much as an escape costs."""


class TableRate:
    """Code lengths by channel.

    Args:
        codes: Calibration codes, float32 ``[n, c, h, w]``.
    """

    def __init__(self, codes: F32) -> None:
        rows = np.sort(np.moveaxis(codes, 1, 0).reshape(codes.shape[1], -1), axis=1)
        low, high = rows[:, :1], rows[:, -1:]
        self._low = torch.from_numpy(low.astype(np.float32))
        self._width = torch.from_numpy(np.maximum((high - low) / (GRID - 1), 1e-6).astype(np.float32))
        places = low + np.arange(GRID) * np.maximum((high - low) / (GRID - 1), 1e-6)
        shares = [np.searchsorted(row, at, side="right") / rows.shape[1] for row, at in zip(rows, places, strict=True)]
        self._shares = torch.from_numpy(np.array(shares, np.float32))

    def bits(self, code: Tensor, step: float) -> Tensor:
        """Of each sample, ``[n]``; ``code`` is rounded already, or has noise of one step instead."""
        rows = code.movedim(1, 0).reshape(code.shape[1], -1)
        inside = self._below(rows + step / 2) - self._below(rows - step / 2)
        lengths = -torch.log2(inside.clamp(min=0) + LEAST_SHARE)
        return lengths.reshape(code.shape[1], len(code), -1).sum((0, 2))

    def _below(self, rows: Tensor) -> Tensor:
        """Share of calibration values up to each value, a channel a row."""
        at = ((rows - self._low) / self._width).clamp(0, GRID - 1.001)
        left = at.floor().long()
        before, after = self._shares.gather(1, left), self._shares.gather(1, left + 1)
        outside = (rows < self._low).to(rows)
        return (before + (after - before) * (at - left)) * (1 - outside)
