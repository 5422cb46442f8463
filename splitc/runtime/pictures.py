"""Pictures: read as RGB, resized, cropped and normalized for a network."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from splitc.errors import UsageError
from splitc.files import open_plain, require_memory
from splitc.runtime.picture_fit import Box, Fit, Size, fit_of
from splitc.runtime.picture_modes import WHITE, Colour, decoded_bytes, is_animated, rgb_of, upright_size
from splitc.runtime.pixels import pixel_format
from splitc.types import F32, U8, Placement, Preprocess, TensorSpec

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".gif"}
PICTURES |= {".avif", ".jfif", ".jp2", ".pgm", ".pnm"}
_UNREADABLE = (
    OSError,
    Image.DecompressionBombError,
    ArithmeticError,
    EOFError,
    LookupError,
    SyntaxError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise for files that are damaged or something else."""
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def is_picture(file: Path) -> bool:
    """Whether the file's name has the suffix of a picture."""
    return file.suffix.lower() in PICTURES


def read_picture(file: Path, background: Colour = WHITE) -> Image.Image:
    """Read a picture as RGB: upright, the first of an animation, and opaque; see :mod:`.picture_modes`.

    Args:
        file: A picture.
        background: Behind what is transparent.

    Raises:
        UsageError: The file is absent, not a picture, of a kind without a stated range, or larger than Pillow's limit.
    """
    with _opened(file) as picture:
        return rgb_of(picture, background)


def picture_size(file: Path) -> Size:
    """Width and height as :func:`read_picture` gives them, from the header; no pixel is read.

    Raises:
        UsageError: The file is absent, not a picture, or larger than Pillow's limit.
    """
    with _opened(file) as picture:
        return upright_size(picture)


def has_more_frames(file: Path) -> bool:
    """Whether the file is animated or of several pages, of which :func:`read_picture` gives the first.

    Raises:
        UsageError: As :func:`picture_size`.
    """
    with _opened(file) as picture:
        return is_animated(picture)


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    try:
        with open_plain(file) as opened, Image.open(opened) as picture:
            held = os.fstat(opened.fileno()).st_size
            require_memory(decoded_bytes(picture), held, f"{file}: a picture of {picture.width} x {picture.height}")
            yield picture
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file.") from None
    except UnidentifiedImageError:
        raise UsageError(f"{file}: not a readable picture (its bytes are of no format that Pillow knows).") from None
    except _UNREADABLE as error:
        raise UsageError(f"{file}: not a readable picture ({error}).") from error


@dataclass(frozen=True)
class FittedPicture:
    """A picture in the size of an input.

    Attributes:
        pixels: RGB ``[H, W, 3]``, or grey ``[H, W, 1]``.
        placement: Where the picture lies in them.
    """

    pixels: U8
    placement: Placement


def fit_picture(picture: Image.Image, how: Preprocess) -> FittedPicture:
    """Resize, with a border where that is asked for, and crop.

    Raises:
        UsageError: The crop is larger than the resized picture, or that is larger than Pillow's limit.
    """
    if how.channels == "grey":
        picture = picture.convert("L")
    fit = fit_of(picture.size, how)
    if fit.resized != picture.size:
        picture = picture.resize(fit.resized, RESAMPLING[how.interpolation])
    if how.fit == "letterbox":
        picture = _bordered(picture, fit, how.pad)
    elif fit.box != (0, 0, *fit.resized):
        picture = picture.crop(fit.box)
    pixels: U8 = np.asarray(picture)
    return FittedPicture(pixels if pixels.ndim == 3 else pixels[..., None], fit.placement)


def _bordered(picture: Image.Image, fit: Fit, level: int) -> Image.Image:
    canvas = Image.new(picture.mode, fit.size, level if picture.mode == "L" else (level,) * 3)
    canvas.paste(picture, (-fit.box[0], -fit.box[1]))
    return canvas


def input_from_picture(picture: Image.Image, how: Preprocess) -> F32:
    """Resize, crop, scale and normalize for a float32 NCHW input.

    Returns:
        float32 ``[3, H, W]``, or ``[1, H, W]`` for grey.

    Raises:
        UsageError: As :func:`fit_picture`.
    """
    form = pixel_format(TensorSpec(name="", dtype="float32", shape=()), how)
    return cast(F32, form.input_from_pixels(fit_picture(picture, how).pixels))


def region_boxes(width: int, height: int, count: int) -> list[Box]:
    """The whole picture, then ``count - 1`` squares of 1/2 to 3/4 of its shorter side, spread by a Halton sequence."""
    boxes: list[Box] = [(0, 0, width, height)]
    for index in range(1, count):
        side = max(1, int(min(width, height) * (0.5 + 0.25 * _halton(index, 5))))
        left, top = int(_halton(index, 2) * (width - side)), int(_halton(index, 3) * (height - side))
        boxes.append((left, top, left + side, top + side))
    return boxes


def _halton(index: int, base: int) -> float:
    """Element of the van der Corput sequence: spreads points evenly without a random number."""
    value, weight = 0.0, 1.0
    while index:
        weight /= base
        index, digit = divmod(index, base)
        value += digit * weight
    return value
