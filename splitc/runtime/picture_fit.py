"""Where a picture goes: resized, with a border or cropped, and the way back to its own pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from splitc.errors import UsageError
from splitc.types import Placement, Preprocess

MAX_PIXELS = 1 << 27
"""Of a resized picture, where Pillow's own limit is switched off."""
Size = tuple[int, int]
"""Width and height."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Fit:
    """What is done to a picture of one size.

    Attributes:
        picture: Its size.
        resized: Size to resize to.
        box: What is kept of that, then; beyond the resized picture, border.
    """

    picture: Size
    resized: Size
    box: Box

    @property
    def size(self) -> Size:
        """Of the result."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    @property
    def placement(self) -> Placement:
        """The way from the picture's pixels to the result's, and back."""
        scale = self.resized[0] / self.picture[0], self.resized[1] / self.picture[1]
        return Placement(scale, (float(-self.box[0]), float(-self.box[1])), self.picture, self.size)


def fit_of(size: Size, how: Preprocess) -> Fit:
    """What ``how`` does to a picture of ``size``.

    Raises:
        UsageError: The crop is larger than the resized picture, or that is larger than Pillow's limit.
    """
    resized = size if how.resize is None else _resized(size, how)
    box = (0, 0, *resized)
    if isinstance(how.resize, tuple):
        box = _window(resized, (how.resize[1], how.resize[0]), how.anchor)
    if how.crop is not None:
        left, top, right, bottom = _centre((box[2] - box[0], box[3] - box[1]), how.crop)
        box = left + box[0], top + box[1], right + box[0], bottom + box[1]
    return Fit(size, resized, box)


def of_region(placement: Placement, region: Box, size: Size) -> Placement:
    """A placement of a region as the one of the picture of ``size`` that it was taken from."""
    (sx, sy), (x, y) = placement.scale, placement.offset
    return replace(placement, offset=(x - region[0] * sx, y - region[1] * sy), size=size)


def _resized(size: Size, how: Preprocess) -> Size:
    if isinstance(how.resize, int):
        return _shorter_side(size, how.resize)
    assert how.resize is not None
    wanted = how.resize[1], how.resize[0]
    if how.fit == "stretch":
        return wanted
    scales = [want / length for want, length in zip(wanted, size, strict=True)]
    if how.fit == "letterbox":
        return _scaled(size, min(scales), at_most=wanted)
    width, height = _scaled(size, max(scales))
    return _within_limit(size, (max(width, wanted[0]), max(height, wanted[1])), min(wanted))


def _scaled(size: Size, scale: float, at_most: Size | None = None) -> Size:
    width, height = (max(1, round(length * scale)) for length in size)
    return (min(width, at_most[0]), min(height, at_most[1])) if at_most else (width, height)


def _shorter_side(size: Size, side: int) -> Size:
    scale = side / min(size)
    width, height = (max(side, round(length * scale)) for length in size)
    return _within_limit(size, (width, height), side)


def _within_limit(size: Size, resized: Size, side: int) -> Size:
    if resized[0] * resized[1] > (Image.MAX_IMAGE_PIXELS or MAX_PIXELS):
        shape = f"{size[0]}x{size[1]}"
        raise UsageError(f"a picture of {shape} is too long to resize: its shorter side becomes {side}; cut it first.")
    return resized


def _window(size: Size, wanted: Size, anchor: str) -> Box:
    """A box of the ``wanted`` size around the middle; a border is all on the right and below for ``top_left``."""
    left, top = (_start(length, want, anchor) for length, want in zip(size, wanted, strict=True))
    return left, top, left + wanted[0], top + wanted[1]


def _start(length: int, wanted: int, anchor: str) -> int:
    if length >= wanted:
        return (length - wanted) // 2
    return 0 if anchor == "top_left" else -((wanted - length) // 2)  # an odd pixel goes right and below


def _centre(size: Size, side: int) -> Box:
    """The box of ``side`` pixels in the middle."""
    if min(size) < side:
        raise UsageError(f"a picture of {size[0]}x{size[1]} is smaller than the crop of {side}; set resize.")
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return left, top, left + side, top + side
