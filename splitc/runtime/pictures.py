"""Pictures: read as RGB, resized, cropped and normalized for a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from splitc.errors import UsageError
from splitc.files import open_plain
from splitc.types import F32, Preprocess

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".gif"}
MAX_PIXELS = 1 << 27
"""Of a resized picture, where Pillow's own limit is switched off."""
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
Size = tuple[int, int]
"""Width and height."""


def is_picture(file: Path) -> bool:
    """Whether the file's name has the suffix of a picture."""
    return file.suffix.lower() in PICTURES


def read_picture(file: Path) -> Image.Image:
    """Read a picture as RGB.

    Raises:
        UsageError: The file is absent, not a picture, or larger than Pillow's limit.
    """
    with _opened(file) as picture:
        rgb: Image.Image = picture.convert("RGB")
        return rgb


def picture_size(file: Path) -> Size:
    """Width and height from the picture's header; no pixel is read.

    Raises:
        UsageError: The file is absent, not a picture, or larger than Pillow's limit.
    """
    with _opened(file) as picture:
        return picture.width, picture.height


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with open_plain(file) as opened, Image.open(opened) as picture:
            yield picture
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file.") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise UsageError(f"{file}: not a readable picture ({error}).") from error


def input_from_picture(picture: Image.Image, how: Preprocess) -> F32:
    """Resize, crop, scale and normalize.

    Returns:
        float32 ``[3, H, W]``.

    Raises:
        UsageError: The crop is larger than the resized picture, or that is larger than Pillow's limit.
    """
    if how.resize is not None:
        picture = picture.resize(_resized(picture.size, how.resize), RESAMPLING[how.interpolation])
    if how.crop is not None:
        picture = picture.crop(_centre(picture.size, how.crop))
    rgb = np.asarray(picture, dtype=np.float32)
    pixels = rgb if how.channels == "rgb" else rgb[..., ::-1]
    normal = (pixels * np.float32(how.scale) - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def input_shape(size: Size, how: Preprocess) -> tuple[int, int, int]:
    """Shape ``[3, H, W]`` of what :func:`input_from_picture` makes of a picture of ``size``.

    Raises:
        UsageError: As :func:`input_from_picture`.
    """
    if how.resize is not None:
        size = _resized(size, how.resize)
    if how.crop is not None:
        left, top, right, bottom = _centre(size, how.crop)
        size = right - left, bottom - top
    return 3, size[1], size[0]


def region_boxes(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """The whole picture, then ``count - 1`` squares of 1/2 to 3/4 of its shorter side, spread by a Halton sequence."""
    boxes = [(0, 0, width, height)]
    for index in range(1, count):
        side = max(1, int(min(width, height) * (0.5 + 0.25 * _halton(index, 5))))
        left, top = int(_halton(index, 2) * (width - side)), int(_halton(index, 3) * (height - side))
        boxes.append((left, top, left + side, top + side))
    return boxes


def _resized(size: Size, wanted: int | tuple[int, int]) -> Size:
    """Width and height to resize to; ``wanted`` is the shorter side, or height and width."""
    return _shorter_side(size, wanted) if isinstance(wanted, int) else (wanted[1], wanted[0])


def _shorter_side(size: Size, side: int) -> Size:
    scale = side / min(size)
    width, height = (max(side, round(length * scale)) for length in size)
    if width * height > (Image.MAX_IMAGE_PIXELS or MAX_PIXELS):
        shape = f"{size[0]}x{size[1]}"
        raise UsageError(f"a picture of {shape} is too long to resize: its shorter side becomes {side}; cut it first.")
    return width, height


def _centre(size: Size, side: int) -> tuple[int, int, int, int]:
    """The box of ``side`` pixels in the middle."""
    if min(size) < side:
        raise UsageError(f"a picture of {size[0]}x{size[1]} is smaller than the crop of {side}; set resize.")
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return left, top, left + side, top + side


def _halton(index: int, base: int) -> float:
    """Element of the van der Corput sequence: spreads points evenly without a random number."""
    value, weight = 0.0, 1.0
    while index:
        weight /= base
        index, digit = divmod(index, base)
        value += digit * weight
    return value
