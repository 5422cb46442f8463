"""Pictures of every kind as 8-bit RGB, as a viewer shows them; what has no stated meaning is refused.

| stored as | becomes |
|---|---|
| RGB, YCbCr, HSV, CMYK | RGB by Pillow's conversion; colour profiles are not applied |
| grey or palette of up to 8 bits | the same level in all three channels; the palette's colours |
| grey of 16 bits | ``round(level / 257)``: all 16 bits count as the range |
| grey of 32-bit integers | refused: their range is not stated |
| floating point | ``round(level * 255)`` for levels from 0 to 1; refused beyond |
| with transparency | composed over the background |
| with an EXIF orientation | turned upright |
| animated, or of several pages | the first one |
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112
"""EXIF tag."""
_TURNED = frozenset(range(5, 9))
"""Orientations in which width and height are exchanged."""
_SIXTEEN_BITS = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_HAVE_SIXTEEN_BITS = frozenset({"PNG", "PPM"})
"""Formats whose pictures in Pillow's 32-bit mode have at most 16 bits."""
_WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})
Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)


def rgb_of(picture: Image.Image, background: Colour = WHITE) -> Image.Image:
    """An opened picture as RGB, upright, opaque.

    Args:
        picture: As Pillow opened it.
        background: Behind what is transparent.

    Raises:
        ValueError: Levels whose range is unknown, or a mode that Pillow cannot convert.
        OSError: The file is cut short or damaged.
    """
    form = picture.format
    ImageOps.exif_transpose(picture, in_place=True)
    upright = picture
    if upright.mode in _SIXTEEN_BITS or (upright.mode == "I" and form in _HAVE_SIXTEEN_BITS):
        return _grey(np.rint(np.asarray(upright).astype(np.float64) / 257))
    if upright.mode == "I":
        raise ValueError("32-bit integers, whose range no header states; save it with 8 or 16 bits, or as .npy")
    if upright.mode == "F":
        return _grey(_unit_levels(np.asarray(upright)) * 255)
    if upright.mode in _WITH_ALPHA or "transparency" in upright.info:
        return _opaque(upright, background)
    return upright.convert("RGB")


def decoded_bytes(picture: Image.Image) -> int:
    """Memory that :func:`rgb_of` takes at most, told by the header: the levels and the copies that it makes of them."""
    is_numeric = picture.mode in _SIXTEEN_BITS or picture.mode in ("I", "F")
    has_alpha = picture.mode in _WITH_ALPHA or "transparency" in picture.info
    return picture.width * picture.height * (48 if is_numeric else 24 if has_alpha else 12)


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of :func:`rgb_of`, from the header. Pillow turns TIFF files itself."""
    is_turned = picture.format != "TIFF" and picture.getexif().get(ORIENTATION) in _TURNED
    return (picture.height, picture.width) if is_turned else (picture.width, picture.height)


def is_animated(picture: Image.Image) -> bool:
    """Whether there is more than the picture that :func:`rgb_of` takes."""
    return bool(getattr(picture, "is_animated", False))


def _unit_levels(levels: np.ndarray) -> np.ndarray:
    if not (np.isfinite(levels).all() and levels.min() >= 0 and levels.max() <= 1):
        raise ValueError("floating-point levels beyond 0 to 1, whose range no header states; scale them, or save .npy")
    return levels


def _grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(levels).astype(np.uint8), "L").convert("RGB")


def _opaque(picture: Image.Image, background: Colour) -> Image.Image:
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba).convert("RGB")
