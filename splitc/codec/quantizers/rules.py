"""Rules by which fitted parameters turn values into symbols and back (FORMAT.md section 9), each in two forms.

Linear       round((x - lo) * scale)               uniform, step
Affine       the same; q * gain + bias             step, reconstruction "unbiased"
Thresholds   how many thresholds are at or below x  log up to 8 bits, binary, lloyd_max
FixedLog     round(log2(x - lo + 1) * scale)       log above 8 bits; on the host only
SampleLog    the same with each sample's own range log, scope "sample"
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from splitc.codec.quantizers import exact_log
from splitc.codec.quantizers.operators import NumpyOperators, Operators, T, against_channels
from splitc.codec.quantizers.params import MAX_GRAPH_BITS, QuantParams
from splitc.errors import CodecError
from splitc.native import _core
from splitc.types import F32, F64, Array, Symbols

LIMIT = float(np.finfo(np.float32).max)


class Rule(ABC):
    """One rule. It holds no state: everything fitted is in :class:`QuantParams`."""

    side_count: ClassVar[int] = 0
    """float32 values that each sample carries beside its symbols."""
    has_thresholds: ClassVar[bool] = False
    needs_levels: ClassVar[bool] = True
    """Up to 8 bits levels are stored."""
    has_gain: ClassVar[bool] = False
    """Symbols stand for ``q * gain + bias``."""
    is_linear: ClassVar[bool] = False
    """Symbols stand for evenly spaced values: ``round((x - lo) * scale)``."""

    def side(self, x: F32) -> F32:
        """float32 ``[n, side_count]``."""
        return np.empty((len(x), self.side_count), np.float32)

    @abstractmethod
    def symbols(self, x: F32, params: QuantParams, side: F32 | None) -> Symbols:
        """Symbols of ``x``.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit ``params``.
        """

    def features(self, symbols: Symbols, params: QuantParams, side: F32 | None) -> F32:
        """The symbols' levels where they are stored, else the middles of their bins by formula."""
        if params.levels.shape[1]:
            return _core.lookup_levels(as_rows(symbols, params.levels), params.levels).reshape(symbols.shape)
        return self._middles(symbols, params)

    def graph_side(self, ops: Operators[T], x: T) -> T:
        """:meth:`side` in operators.

        Raises:
            CodecError: This rule carries nothing beside its symbols.
        """
        raise CodecError(f"quantizer rule {type(self).__name__} carries no side information.")

    def graph_symbols(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        """:meth:`symbols` in operators: whole numbers as float32 or int32.

        Raises:
            CodecError: This rule runs on the host alone; ``CodecSpec.fits_graph`` says so beforehand.
        """
        raise CodecError(f"quantizer rule {type(self).__name__} runs on the host alone.")

    def graph_features(self, ops: Operators[T], symbols: T, params: QuantParams, side: T | None) -> T:
        """:meth:`features` in operators, from int32 symbols."""
        return ops.pick("levels", params.levels, symbols)

    def check(self, params: QuantParams) -> None:
        """Refuse parameters that are not of this rule; they may come from a stranger.

        Raises:
            ValueError: A shape or value is wrong.
        """
        rows, count = len(params.lo), params.count
        has_levels = self.needs_levels and params.bits <= MAX_GRAPH_BITS
        wanted = {
            "lo": (rows,),
            "scale": (rows,),
            "thresholds": (rows, count - 1 if self.has_thresholds else 0),
            "levels": (rows, count if has_levels else 0),
            "gain": (rows if self.has_gain else 0,),
            "bias": (rows if self.has_gain else 0,),
        }
        for name, shape in wanted.items():
            array: F32 = getattr(params, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name}: shape {array.shape}, must be {shape} and finite")
        for name in ("scale", "gain"):
            if not (getattr(params, name) > 0).all():
                raise ValueError(f"{name}: must be above 0")
        if (np.diff(params.thresholds, axis=1) < 0).any():
            raise ValueError("thresholds: must ascend")

    def _middles(self, symbols: Symbols, params: QuantParams) -> F32:
        raise CodecError(f"quantizer rule {type(self).__name__} has no formula for its levels; they must be stored.")


class Linear(Rule):
    """``q = clip(round((x - lo) * scale), 0, count - 1)``; a bin's middle is ``q / scale + lo``."""

    is_linear: ClassVar[bool] = True

    def symbols(self, x: F32, params: QuantParams, side: F32 | None) -> Symbols:
        planes = as_rows(x, params.lo)
        return _core.quantize_linear(planes, params.lo, params.scale, params.count - 1).reshape(x.shape)

    def graph_symbols(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        shifted = ops.op("Sub", x, ops.per_channel("lo", params.lo))
        return _round_clip(ops, ops.op("Mul", shifted, ops.per_channel("scale", params.scale)), params.count - 1)

    def _middles(self, symbols: Symbols, params: QuantParams) -> F32:
        lo, scale = _wide(params, symbols)
        restored: F32 = (symbols / scale + lo).astype(np.float32)
        return restored


class Lattice(Linear):
    """:class:`Linear` whose levels are whole multiples of the step: ``(q + round(lo * scale)) / scale``.

    So the symbol of zero means exactly zero, at any number of bits.
    """

    def _middles(self, symbols: Symbols, params: QuantParams) -> F32:
        lo, scale = _wide(params, symbols)
        restored: F32 = ((symbols + np.rint(lo * scale)) / scale).astype(np.float32)
        return restored


class Affine(Linear):
    """:class:`Linear` whose symbols stand for ``q * gain + bias`` of their channel: two operations, and no table."""

    needs_levels: ClassVar[bool] = False
    has_gain: ClassVar[bool] = True

    def features(self, symbols: Symbols, params: QuantParams, side: F32 | None) -> F32:
        planes = as_rows(symbols, params.gain)
        return _core.restore_affine(planes, params.gain, params.bias).reshape(symbols.shape)

    def graph_features(self, ops: Operators[T], symbols: T, params: QuantParams, side: T | None) -> T:
        scaled = ops.op("Mul", ops.cast(symbols, "float32"), ops.per_channel("gain", params.gain))
        return ops.op("Add", scaled, ops.per_channel("bias", params.bias))


class Thresholds(Rule):
    """``q`` is the number of thresholds at or below ``x``: a binary search, one comparison a bit."""

    has_thresholds: ClassVar[bool] = True

    def symbols(self, x: F32, params: QuantParams, side: F32 | None) -> Symbols:
        planes = as_rows(x, params.thresholds)
        return _core.quantize_thresholds(planes, params.thresholds).reshape(x.shape)

    def graph_symbols(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        half = params.count // 2
        found = _reached(ops, x, ops.per_channel("middle", params.thresholds[:, half - 1]), half)
        while half > 1:
            half //= 2
            probe = ops.op("Add", found, ops.constant(f"below_{half}", np.int32(half - 1)))
            edge = ops.pick("thresholds", params.thresholds, probe)
            found = ops.op("Add", found, _reached(ops, x, edge, half))
        return found


class LogThresholds(Thresholds):
    """:class:`Thresholds` along a logarithm.

    In a graph the logarithm proposes a symbol, right to within one, and the thresholds on either side of it decide.
    """

    def graph_symbols(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        shifted = ops.op("Sub", x, ops.per_channel("lo", params.lo))
        log = ops.op("Log", ops.op("Add", ops.op("Relu", shifted), ops.constant("one", np.float32(1))))
        per_nat = (params.scale.astype(np.float64) / np.log(2)).astype(np.float32)
        guess = _round_clip(ops, ops.op("Mul", log, ops.per_channel("per_nat", per_nat)), params.count - 1)
        ends = np.full((len(params.thresholds), 1), LIMIT, np.float32)
        edges = np.concatenate([-ends, params.thresholds, ends], axis=1)
        index = ops.cast(guess, "int32")
        below = ops.pick("edges", edges, index)
        above = ops.pick("edges", edges, ops.op("Add", index, ops.constant("next", np.int32(1))))
        too_high = ops.cast(ops.op("Less", x, below), "float32")
        high_enough = ops.cast(ops.op("Not", ops.op("Less", x, above)), "float32")
        return ops.op("Sub", ops.op("Add", guess, high_enough), too_high)

    def _middles(self, symbols: Symbols, params: QuantParams) -> F32:
        return _log_middles(symbols, params)


class FixedLog(Rule):
    """``q = clip(round(log2(max(x - lo, 0) + 1) * scale), 0, count - 1)`` in binary64; above 8 bits."""

    def symbols(self, x: F32, params: QuantParams, side: F32 | None) -> Symbols:
        refuse_nan(x)
        lo, scale = _wide(params, x)
        exact = np.log2(np.maximum(x - lo, 0) + 1) * scale
        return params.as_symbols(np.clip(np.rint(exact), 0, params.count - 1))

    def _middles(self, symbols: Symbols, params: QuantParams) -> F32:
        return _log_middles(symbols, params)


class SampleLog(Rule):
    """Chen et al. 2019, eq. 5 and 6: each sample's own minimum and greatest logarithm are its side information.

    ``q = round(lg(x - low + 1) / high * (count - 1))`` with ``low = min(x)`` and ``high = lg(max(x) - low + 1)``;
    ``lg`` is :func:`splitc.codec.quantizers.exact_log.log2`. The host form is the graph form, run by NumPy.
    """

    side_count: ClassVar[int] = 2
    needs_levels: ClassVar[bool] = False

    def side(self, x: F32) -> F32:
        with np.errstate(over="ignore", invalid="ignore"):
            side: F32 = self.graph_side(NumpyOperators(x.ndim), x)
        if not np.isfinite(side).all():
            raise CodecError("feature holds NaN or infinities, or a range beyond float32; look at the head's input.")
        return side

    def symbols(self, x: F32, params: QuantParams, side: F32 | None) -> Symbols:
        found = self.graph_symbols(NumpyOperators(x.ndim), x, params, side)
        return params.as_symbols(found)

    def features(self, symbols: Symbols, params: QuantParams, side: F32 | None) -> F32:
        whole: Array = symbols
        restored: F32 = self.graph_features(NumpyOperators(symbols.ndim), whole, params, side)
        return restored

    def graph_side(self, ops: Operators[T], x: T) -> T:
        low, top = ops.of_sample("ReduceMin", x), ops.of_sample("ReduceMax", x)
        return ops.join_side(low, exact_log.log2(ops, _above(ops, top, low)))

    def graph_symbols(self, ops: Operators[T], x: T, params: QuantParams, side: T | None) -> T:
        low, high = _sides(ops, side)
        log = exact_log.log2(ops, _above(ops, x, low))
        # a constant sample has high = 0: its logarithms are 0 too, and 0 / LEAST * top is 0
        share = ops.op("Div", log, ops.op("Max", high, ops.constant("least", np.float32(LEAST))))
        return _round_clip(ops, ops.op("Mul", share, _top(ops, params)), params.count - 1)

    def graph_features(self, ops: Operators[T], symbols: T, params: QuantParams, side: T | None) -> T:
        low, high = _sides(ops, side)
        log = ops.op("Div", ops.op("Mul", ops.cast(symbols, "float32"), high), _top(ops, params))
        above = ops.op("Sub", exact_log.exp2(ops, log), ops.constant("one", np.float32(1)))
        return ops.op("Add", above, low)


def refuse_nan(x: F32) -> None:
    """Raises: CodecError: ``x`` holds a NaN; it has no symbol."""
    if np.isnan(np.min(x, initial=np.float32(np.inf))):
        raise CodecError("feature holds NaN, which has no symbol; look at the head's input for NaN or overflow.")


LEAST = 1e-20
"""Stands for the greatest logarithm of a constant sample; far below that of any other, which is at least 1.7e-7."""


def as_rows(x: Array, rows: Array) -> Array:
    """``[n, C, ...]`` as contiguous ``[planes, values]``, where plane p takes row ``p % S`` of ``rows`` ``[S, ...]``.

    Raises:
        CodecError: There are several rows, and ``x`` has another number of channels.
    """
    against_channels(rows[:, 0] if rows.ndim > 1 else rows, x)
    planes = x.shape[0] * len(rows) if len(rows) > 1 else 1
    return np.ascontiguousarray(x).reshape(planes, x.size // max(planes, 1))


def _sides(ops: Operators[T], side: T | None) -> tuple[T, T]:
    assert side is not None, "scope sample goes with side values"
    return ops.side_value(side, 0), ops.side_value(side, 1)


def _top(ops: Operators[T], params: QuantParams) -> T:
    return ops.constant("top", np.float32(params.count - 1))


def _above(ops: Operators[T], x: T, low: T) -> T:
    """``x - low + 1``."""
    return ops.op("Add", ops.op("Sub", x, low), ops.constant("one", np.float32(1)))


def _round_clip(ops: Operators[T], x: T, top: int) -> T:
    bounds = ops.constant("zero", np.float32(0)), ops.constant("top", np.float32(top))
    return ops.op("Clip", ops.op("Round", x), *bounds)


def _reached(ops: Operators[T], x: T, edge: T, weight: int) -> T:
    """``weight`` where ``x`` is at or above ``edge``, else 0; int32."""
    reached = ops.cast(ops.op("Not", ops.op("Less", x, edge)), "int32")
    return reached if weight == 1 else ops.op("Mul", reached, ops.constant(f"weight_{weight}", np.int32(weight)))


def _wide(params: QuantParams, x: Array) -> tuple[F64, F64]:
    """``lo`` and ``scale`` in binary64, against the channels of ``x``."""
    lo, scale = (np.float64(against_channels(v, x)) for v in (params.lo, params.scale))
    return np.asarray(lo), np.asarray(scale)


def _log_middles(symbols: Symbols, params: QuantParams) -> F32:
    lo, scale = _wide(params, symbols)
    restored: F32 = (np.exp2(symbols / scale) - 1 + lo).astype(np.float32)
    return restored
