"""What a quantizer learned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from splitc.types import F32, Array, Symbols

MAX_GRAPH_BITS = 8
"""A quantizer inside a graph has a UINT8 wire."""


@dataclass(frozen=True, eq=False)
class QuantParams:
    """What a quantizer learned. ``S`` is 1 (one for the tensor) or the number of channels.

    Values are equal where every number has the same bits, as the two ends of a stream must have them.

    Attributes:
        count: Number of symbols, 2..65536.
        lo: Lower end of the range, float32 ``[S]``.
        scale: float32 ``[S]``, above 0. Linear: symbols per unit, ``1 / step``. Log: symbols per bit of
            ``log2(x - lo + 1)``.
        thresholds: float32 ``[S, count - 1]``, ascending: a value is symbol ``q`` when exactly ``q`` thresholds are
            at or below it. ``[S, 0]`` where ``round((x - lo) * scale)`` itself decides.
        levels: Reconstruction points, float32 ``[S, count]``; ``[S, 0]`` where a formula gives them.
        gain: Symbol ``q`` stands for ``q * gain + bias``, float32 ``[S]``, above 0; ``[0]`` where it does not.
        bias: float32, as ``gain``.
    """

    count: int
    lo: F32
    scale: F32
    thresholds: F32
    levels: F32
    gain: F32 = field(default_factory=lambda: np.empty(0, np.float32))
    bias: F32 = field(default_factory=lambda: np.empty(0, np.float32))

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, QuantParams) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content)

    @property
    def _content(self) -> tuple[object, ...]:
        arrays = (self.lo, self.scale, self.thresholds, self.levels, self.gain, self.bias)
        return self.count, *((array.shape, array.dtype.str, array.tobytes()) for array in arrays)

    @classmethod
    def of(cls, count: int, lo: F32, scale: F32, thresholds: F32 | None = None) -> QuantParams:
        """Without levels, and without thresholds unless given."""
        nothing = np.empty((len(lo), 0), np.float32)
        return cls(count, lo, scale, nothing if thresholds is None else thresholds, nothing)

    @classmethod
    def of_table(cls, thresholds: F32, levels: F32) -> QuantParams:
        """Of a quantizer that is all table: thresholds ``[S, count - 1]`` and levels ``[S, 2**bits]``."""
        rows, count = levels.shape
        return cls(count, np.zeros(rows, np.float32), np.ones(rows, np.float32), thresholds, levels)

    def with_levels(self, levels: F32) -> QuantParams:
        """The same with other reconstruction points."""
        return replace(self, levels=levels)

    def with_gain(self, bias: F32 | None = None) -> QuantParams:
        """The same of even levels ``1 / scale`` apart, from ``bias`` on; None: from ``lo``."""
        gain = (1 / self.scale.astype(np.float64)).astype(np.float32)
        return replace(self, gain=gain, bias=self.lo if bias is None else bias)

    @property
    def bits(self) -> int:
        """Width of a symbol, 1..16."""
        return max(1, (self.count - 1).bit_length())

    def as_symbols(self, whole: Array) -> Symbols:
        """Whole numbers below ``count`` as uint8 up to 8 bits, uint16 above."""
        return whole.astype(np.uint8) if self.bits <= MAX_GRAPH_BITS else whole.astype(np.uint16)
