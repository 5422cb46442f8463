"""Symbol difference between consecutive frames (FORMAT.md section 11, "difference")."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np

from splitc.codec.temporal.base import Predictor
from splitc.native import _core
from splitc.types import Symbols


class Difference(Predictor):
    """The difference of symbols, folded into the symbols' own alphabet; lossless, so quantizers may stay in the graph.

    previous p = 2, count = 8:

        symbol    0  1  2  3  4  5  6  7
        residual  4  2  0  1  3  5  6  7
    """

    name: ClassVar[str] = "difference"
    wire_id: ClassVar[int] = 1

    def residual(self, symbols: Symbols, predicted: Symbols, count: int) -> Symbols:
        return _core.fold_symbols(_flat(symbols), _flat(predicted), count).reshape(symbols.shape)

    def restore(self, residual: Symbols, predicted: Symbols, count: int) -> Symbols:
        return _core.unfold_symbols(_flat(residual), _flat(predicted), count).reshape(residual.shape)


def _flat(symbols: Symbols) -> Symbols:
    return cast(Symbols, np.ascontiguousarray(symbols).reshape(1, -1))
