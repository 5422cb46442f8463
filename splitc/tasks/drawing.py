"""Answers on pictures. Pillow is imported here, and this module only when something is drawn."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from splitc.tasks.geometry import Indices
from splitc.types import F64

GOLDEN = 0.61803398875
"""Steps of the hue between classes: neighbours differ most."""
MASK_OPACITY = 0.5


def caption(picture: Image.Image, text: str) -> Image.Image:
    """A line of text on a dark strip in the top left corner."""
    drawn = picture.convert("RGB")
    _label(ImageDraw.Draw(drawn), (0, 0), text, (32, 32, 32), _font(drawn))
    return drawn


def draw_boxes(picture: Image.Image, xyxy: F64, classes: Indices, captions: Sequence[str]) -> Image.Image:
    """Boxes in picture pixels, each with its caption; the best, which come first, lie on top."""
    drawn = picture.convert("RGB")
    pen, font = ImageDraw.Draw(drawn), _font(drawn)
    width = max(2, min(drawn.size) // 200)
    for box, index, text in reversed(list(zip(xyxy.tolist(), classes.tolist(), captions, strict=True))):
        x1, y1, x2, y2 = box
        pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour(index), width=width)
        _label(pen, (x1, y1), text, colour(index), font)
    return drawn


def overlay(picture: Image.Image, classes: Indices, background: int) -> Image.Image:
    """Classes of pixels ``[H, W]`` as colours over the picture, stretched to it; the background stays clear."""
    known, rows = np.unique(classes, return_inverse=True)
    colours = np.array([colour(int(index)) for index in known], np.uint8)[rows.reshape(classes.shape)]
    opacity = np.where(classes == background, 0, round(255 * MASK_OPACITY)).astype(np.uint8)
    drawn = picture.convert("RGB")
    layer = Image.fromarray(colours).resize(drawn.size, Image.Resampling.NEAREST)
    drawn.paste(layer, (0, 0), Image.fromarray(opacity).resize(drawn.size, Image.Resampling.NEAREST))
    return drawn


def colour(index: int) -> tuple[int, int, int]:
    """A bright colour of a class, 0 to 255 each."""
    r, g, b = colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.85, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


def _font(picture: Image.Image) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(10, min(picture.size) // 35))


def _label(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    ground: tuple[int, int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Text on a filled strip; light or dark, whichever can be read."""
    x1, y1, x2, y2 = pen.textbbox(place, text, font=font)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 2, y2 + 2), fill=ground)
    luminance = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    pen.text(place, text, fill=(0, 0, 0) if luminance > 128 else (255, 255, 255), font=font)
