"""What a temporal predictor is: a frame's symbols, given those of the frame before <-> residual symbols.

    previous ──► predict(field) ──► predicted
    features ──► choose(predicted) ──► symbols ──► residual(predicted) ──► entropy coder
                                          └─► the next frame's ``previous``, at both ends

What is predicted is the frame before itself, or that frame moved by a motion field, which then travels in the packet.
The state of a stream is the symbols of its last frame: integers, so encoder and decoder cannot drift apart. Residual
symbols have the quantizer's alphabet, 0 for "as predicted" and larger for farther (FORMAT.md section 11).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field

from splitc.codec.fitted import FittedTensor
from splitc.codec.quantizers import Quantizer
from splitc.errors import BitstreamError, CodecError
from splitc.registry import Component
from splitc.types import F32, Array, Shape, Symbols

DEFAULT_GOP = 15


class Temporal(Component):
    """Options of a temporal predictor. Per-stream state lives in ``Encoder`` and ``Decoder``."""

    wire_id: ClassVar[int]
    """FORMAT.md, section "Streams"; never reused."""
    is_open_loop: ClassVar[bool] = True
    """A frame's symbols do not depend on other frames, so that a quantizer inside the graph can make them."""

    @property
    def period(self) -> int:
        """Most frames from one keyframe to the next."""
        return 1

    @property
    def steps(self) -> int:
        """How many steps a stream may change among."""
        return 1

    def check(self, quantizer: Quantizer) -> None:
        """Refuse a quantizer whose symbols cannot be predicted this way.

        Raises:
            UsageError: With what to use instead.
        """

    needs_even_levels: ClassVar[bool] = False
    """Its loop is closed on levels that no mean error was taken off."""
    has_field: ClassVar[bool] = False
    """Packets of predicted frames hold a motion field for each tensor."""

    def refusal(self, wire: Shape) -> str | None:
        """Why a wire of this shape cannot be predicted this way, beginning with what it has; None: it can."""
        return None

    def search(self, x: F32, previous: Symbols, last: Symbols, tensor: FittedTensor) -> Symbols:
        """Motion field of a predicted frame; only where there are fields.

        Args:
            x: Features, float32 ``[n, C, H, W]``.
            previous: Symbols of the frame before, of the same shape.
            last: Its field; zeros where it is a keyframe.
            tensor: What was fitted.

        Raises:
            CodecError: NaN in ``x``, or there are no fields.
        """
        raise CodecError(f"temporal {self.name!r} has no motion field.")

    def predict(self, previous: Symbols, field: Symbols, tensor: FittedTensor) -> Symbols:
        """What a frame is predicted to be; only where there are fields.

        Args:
            previous: Symbols of the frame before, ``[n, C, H, W]``.
            field: Of :meth:`search`, or from a packet.
            tensor: What was fitted.

        Raises:
            CodecError: A field that no search gives.
        """
        raise CodecError(f"temporal {self.name!r} has no motion field.")

    def choose(self, x: F32, predicted: Symbols, tensor: FittedTensor) -> Symbols:
        """Symbols of a predicted frame.

        Args:
            x: Features, float32 ``[n, C, ...]``.
            predicted: Symbols that it is predicted to have, of the same shape.
            tensor: What was fitted.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit ``tensor``.
        """
        return tensor.quantize(x)

    @abstractmethod
    def residual(self, symbols: Symbols, predicted: Symbols, count: int) -> Symbols:
        """Residual symbols of a predicted frame.

        Args:
            symbols: Of this frame, below ``count``.
            predicted: What was predicted, of the same shape.
            count: Size of the quantizer's alphabet.

        Raises:
            CodecError: Symbols that this prediction cannot say.
        """

    @abstractmethod
    def restore(self, residual: Symbols, predicted: Symbols, count: int) -> Symbols:
        """Invert :meth:`residual`.

        Args:
            residual: Below ``count``.
            predicted: What was predicted, of the same shape.
            count: Size of the quantizer's alphabet.
        """


class Predictor(Temporal):
    """A temporal predictor that predicts."""

    gop: int = Field(DEFAULT_GOP, ge=1, le=65_535, description="frames from one keyframe to the next")

    @property
    def period(self) -> int:
        return self.gop


def refuse_above(symbols: Symbols, count: int, what: str) -> None:
    """Refuse decoded symbols outside an alphabet that does not fill its bits.

    Raises:
        BitstreamError: A symbol of ``count`` or above.
    """
    largest = int(symbols.max(initial=0))
    if largest >= count:
        raise BitstreamError(f"bitstream: {what} {largest} is outside the quantizer's 0..{count - 1}.")


def zigzag(difference: Array) -> Array:
    """0, 1, -1, 2, -2 ... to 0, 1, 2, 3, 4 ..."""
    return np.where(difference > 0, 2 * difference - 1, -2 * difference)


def unzigzag(folded: Array) -> Array:
    """Invert :func:`zigzag`."""
    return np.where(folded % 2, (folded + 1) // 2, -(folded // 2))
