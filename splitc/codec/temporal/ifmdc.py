"""IFMDC: inter-frame DPCM of clipped features with a residual quantizer of k levels.

With ``A = clip_max - clip_min`` and the key-frame step ``s = A / (k - 1)``, a key frame reconstructs to
``clip_min + m * s`` (m = 0 .. k - 1), and a residual level moves it by ``2A q / (k - 1) - A = (2 q - (k - 1)) * s``:
every state is a whole number m of steps, so it is kept as that and cannot drift.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import numpy as np
from pydantic import Field

from splitc.codec.fitted import FittedTensor
from splitc.codec.quantizers import Quantizer, against_channels, refuse_nan
from splitc.codec.temporal.base import Predictor, unzigzag, zigzag
from splitc.errors import CodecError, UsageError
from splitc.types import F32, F64, Array, Symbols


class Ifmdc(Predictor):
    """Residual levels ``q = round((e + A) / (2A) * (k - 1))`` of ``e = clip(f) - f'(n - 1)``.

    k is the quantizer's number of levels. ``ifmdc_mode = "printed"`` rounds as eq. 5 is printed, ``(e - A)``: k - 1
    less, and other values at ties where k is even. An even k has no level at zero, so "corrected" refuses it: a static
    scene would never come to rest. A reconstruction beyond the clip range is set to its end, which the paper leaves
    open and which is never farther off.

    Source: IFMDC, eq. 1 to 5; quantizer of key frames and dequantizer are ours (the paper gives none).
    """

    name: ClassVar[str] = "ifmdc"
    wire_id: ClassVar[int] = 3
    is_open_loop: ClassVar[bool] = False

    ifmdc_mode: Literal["corrected", "printed"] = Field(
        "corrected", description='eq. 5 of temporal = "ifmdc": with (residual + A), or as printed'
    )

    needs_even_levels: ClassVar[bool] = True

    def check(self, quantizer: Quantizer) -> None:
        if not quantizer.rule.is_linear:
            raise UsageError(
                f"temporal 'ifmdc' needs even levels in a clip range, which quantizer {quantizer.name!r} has not; "
                'use quantizer = "clipped".'
            )
        if not quantizer.has_even_levels:
            raise UsageError("temporal 'ifmdc' needs reconstruction = \"midpoint\": its loop is closed on even levels.")
        if self.ifmdc_mode == "corrected" and quantizer.count % 2 == 0:
            raise UsageError(
                f"temporal 'ifmdc' needs an odd number of levels, got {quantizer.count}: an even one has none at zero; "
                'use quantizer = "clipped" with odd levels, or ifmdc_mode = "printed".'
            )

    def choose(self, x: F32, predicted: Symbols, tensor: FittedTensor) -> Symbols:
        refuse_nan(x)
        lo, scale = (np.float64(against_channels(v, x)) for v in (tensor.params.lo, tensor.params.scale))
        clipped = np.clip((np.float64(x) - lo) * scale, 0, tensor.count - 1)
        levels = self.residual_levels(clipped - predicted, tensor.count)
        return cast(Symbols, _moved(predicted, levels, tensor.count).astype(predicted.dtype))

    def residual_levels(self, residual: F64, count: int) -> F64:
        """Eq. 5, as 0 .. count - 1 in both modes.

        Args:
            residual: In steps of ``A / (count - 1)``.
            count: k.
        """
        range_steps = count - 1  # A
        offset = range_steps if self.ifmdc_mode == "corrected" else -range_steps
        levels = np.rint((residual + offset) / 2)
        shift = 0 if self.ifmdc_mode == "corrected" else range_steps
        clipped: F64 = np.clip(levels + shift, 0, count - 1)
        return clipped

    def residual(self, symbols: Symbols, predicted: Symbols, count: int) -> Symbols:
        twice = symbols.astype(np.int32) - predicted + count - 1
        at_end = symbols == count - 1  # reached by a move that may have been one step longer
        levels = (twice + at_end) // 2
        if not np.array_equal(_moved(predicted, levels, count), symbols):
            raise CodecError(
                "temporal 'ifmdc': the symbols are not whole residual levels away from the frame before; "
                "quantize with this stream's encoder."
            )
        return cast(Symbols, zigzag(levels - (count - 1) // 2).astype(symbols.dtype))

    def restore(self, residual: Symbols, predicted: Symbols, count: int) -> Symbols:
        levels = unzigzag(residual.astype(np.int32)) + (count - 1) // 2
        return cast(Symbols, _moved(predicted, levels, count).astype(residual.dtype))


def _moved(predicted: Symbols, levels: Array, count: int) -> Array:
    """State after residual levels 0 .. count - 1."""
    moved: Array = np.clip(
        np.asarray(predicted, np.int32) + 2 * np.asarray(levels, np.int32) - (count - 1), 0, count - 1
    )
    return moved
