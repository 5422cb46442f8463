"""What a quantizer made of one inference."""

from __future__ import annotations

from typing import NamedTuple

from splitc.types import F32, Symbols


class Quantized(NamedTuple):
    """Symbols, and what decoding needs beside them; one entry a cut tensor, in packet order.

    Attributes:
        symbols: uint8 up to 8 bits, uint16 above; each of its tensor's wire, ``[n, C, ...]``.
        side: float32 ``[n, side_count]``; ``side_count`` is 0 for quantizers that calibration fixed.
        alone: The symbols that a keyframe of the same frame would hold, where prediction makes others; None: the same.
        fields: Motion fields of a predicted frame, ``[n, 2, ...]``; none where there is no motion.
        rung: Which of the codec's steps they are of; 0 is the finest.
    """

    symbols: tuple[Symbols, ...]
    side: tuple[F32, ...]
    alone: tuple[Symbols, ...] | None = None
    fields: tuple[Symbols, ...] = ()
    rung: int = 0

    def as_keyframe(self) -> Quantized:
        """What a keyframe holds of this frame."""
        return self if self.alone is None else Quantized(self.alone, self.side, rung=self.rung)

    @property
    def is_predicted(self) -> bool:
        """Whether they are a predicted frame's, which may stand for other values than a keyframe's."""
        return False


class Predicted(Quantized):
    """:class:`Quantized` of a predicted frame."""

    __slots__ = ()

    @property
    def is_predicted(self) -> bool:
        return True
