"""What a motion field is: two symbols a block of 2 x 2 places, shared by all channels (FORMAT.md section 11a)."""

from __future__ import annotations

BLOCK = 2
"""Places along a side of a block; those at the lower and right border may be cut off."""
FIELD_PLANES = 2
"""Vertical and horizontal components, in half places: 0, 1, -1, 2 ... as 0, 1, 2, 3 ..., up to 30."""
FIELD_BITS = 5


def field_shape(wire: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Of the motion field of symbols ``[n, C, H, W]``."""
    samples, _, height, width = wire
    return samples, FIELD_PLANES, -(-height // BLOCK), -(-width // BLOCK)
