"""What a motion field is: two symbols a block of 2 x 2 places, shared by all channels (FORMAT.md section 11a)."""

from __future__ import annotations

from splitc.codec.bitstream import TensorLayout
from splitc.codec.entropy import EntropyCoder
from splitc.types import Shape

BLOCK = 2
"""Places along a side of a block; those at the lower and right border may be cut off."""
FIELD_PLANES = 2
"""Vertical and horizontal components, in half places: 0, 1, -1, 2 ... as 0, 1, 2, 3 ..., up to 30."""
FIELD_BITS = 5


def field_shape(wire: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Of the motion field of symbols ``[n, C, H, W]``."""
    samples, _, height, width = wire
    return samples, FIELD_PLANES, -(-height // BLOCK), -(-width // BLOCK)


def field_layout(wire: Shape, coder: EntropyCoder, tables: bytes) -> TensorLayout:
    """What the motion field of a tensor looks like in packets.

    Args:
        wire: The tensor's, ``[n, C, H, W]``; names stand for dynamic sizes, which the field has too.
        coder: Of the tensor and its field.
        tables: The field's own; empty where the coder needs none.

    Raises:
        CodecError: Tables that are not of a field.
    """
    samples, _, height, width = (size if isinstance(size, int) else 0 for size in wire)
    shape = tuple(size or None for size in field_shape((samples, FIELD_PLANES, height, width)))
    return TensorLayout(shape, FIELD_BITS, coder.open(FIELD_BITS, FIELD_PLANES, tables), is_whole=coder.is_whole)
