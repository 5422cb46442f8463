"""Codings of the input itself, as cameras and browsers do it: JPEG, WebP and AVIF pictures, H.264 and H.265 video.

Settings, encoders and decoders as data. Speeds are what one core of a server CPU does, for every device; a camera with
an encoder in hardware codes video faster.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
from PIL import Image, ImageFile, features

from splitc.codec import code_video
from splitc.types import U8

JPEG_QUALITIES = (*range(5, 100, 5), 98, 100)
QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
CRFS = tuple(range(45, 11, -3))
"""Constant rate factors; like qualities, the worst first."""
FULL_CHROMA_FROM = 90
"""From this quality on, colours of JPEG and AVIF keep every pixel (4:4:4); below, one in four (4:2:0), as cameras do.
WebP has no 4:4:4."""
WEBP_MOST_SIDE = 16383
_ROOM = Lock()


@dataclass(frozen=True)
class Coding:
    """One way to code pictures.

    Attributes:
        name: Of the format, as people know it.
        setting_name: What the setting is called.
        settings: The worst first.
        through: Pixels ``[T, H, W, C]`` and a setting -> bytes of all of them, and what is decoded.
        encode_mpixels_s, decode_mpixels_s: Million pixels a second.
        is_video: It predicts from frame to frame.
        fault: Why it cannot be used here, or nothing; asked for the longest side.
    """

    name: str
    setting_name: str
    settings: tuple[int, ...]
    through: Callable[[U8, int], tuple[int, U8]]
    encode_mpixels_s: float
    decode_mpixels_s: float
    is_video: bool = False
    fault: Callable[[int], str] = field(default=lambda side: "")

    def title(self, setting: float) -> str:
        """``JPEG quality 83.5``, ``H.264 at CRF 27``."""
        return f"{self.name} {self.setting_name} {setting:.3g}"


def jpeg_from_pixels(pixels: U8, quality: int) -> bytes:
    """A JPEG file with Huffman tables of its own.

    Args:
        pixels: RGB ``[H, W, 3]`` or grey ``[H, W, 1]``.
        quality: 0 to 100; from ``FULL_CHROMA_FROM`` on, colours are not subsampled.
    """
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    chroma = 0 if quality >= FULL_CHROMA_FROM else 2
    with _room_for(picture):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True, subsampling=chroma)
    return data.getvalue()


def webp_from_pixels(pixels: U8, quality: int) -> bytes:
    """A lossy WebP file, of the encoder's usual effort; grey as RGB, which costs it next to nothing."""
    data = io.BytesIO()
    _as_rgb(pixels).save(data, "WEBP", quality=quality, method=4)
    return data.getvalue()


def avif_from_pixels(pixels: U8, quality: int) -> bytes:
    """An AVIF file, by one thread so that it is the same each time; grey as RGB."""
    data = io.BytesIO()
    chroma = "4:4:4" if quality >= FULL_CHROMA_FROM else "4:2:0"
    _as_rgb(pixels).save(data, "AVIF", quality=quality, subsampling=chroma, speed=8, max_threads=1)
    return data.getvalue()


def _as_rgb(pixels: U8) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")


def _through_files(encode: Callable[[U8, int], bytes], pixels: U8, quality: int) -> tuple[int, U8]:
    """Each picture as a file of its own."""
    files = [encode(one, quality) for one in pixels]
    mode = "L" if pixels.shape[-1] == 1 else "RGB"
    restored = [np.asarray(Image.open(io.BytesIO(one)).convert(mode)).reshape(pixels.shape[1:]) for one in files]
    return sum(map(len, files)), np.stack(restored)


def _through_video(codec: str, pixels: U8, crf: int) -> tuple[int, U8]:
    return code_video(pixels, crf, codec)


def _avif_fault(side: int) -> str:
    return "" if features.check("avif") else "this Pillow writes no AVIF; Pillow 11.3 and newer do"


def _webp_fault(side: int) -> str:
    if not features.check("webp"):
        return "this Pillow writes no WebP"
    return "" if side <= WEBP_MOST_SIDE else f"its pictures have at most {WEBP_MOST_SIDE} pixels a side"


CODINGS: Mapping[str, Coding] = {
    one.name: one
    for one in (
        Coding("JPEG", "quality", JPEG_QUALITIES, partial(_through_files, jpeg_from_pixels), 100, 150),
        Coding("WebP", "quality", QUALITIES, partial(_through_files, webp_from_pixels), 7, 60, fault=_webp_fault),
        Coding("AVIF", "quality", QUALITIES, partial(_through_files, avif_from_pixels), 1.5, 15, fault=_avif_fault),
        Coding("H.264", "at CRF", CRFS, partial(_through_video, "h264"), 15, 100, is_video=True),
        Coding("H.265", "at CRF", CRFS, partial(_through_video, "hevc"), 4, 60, is_video=True),
    )
}


@contextmanager
def _room_for(picture: Image.Image) -> Iterator[None]:
    """Pillow gives libjpeg one buffer for all of an optimized file and guesses its size, too small for noise.

    No Huffman code and its bits are longer than 16 + 11 bits a coefficient, 6.75 bytes where each byte is stuffed;
    blocks are whole, of up to 16 x 16 pixels.
    """
    width, height = (-(-length // 16) * 16 for length in picture.size)
    with _ROOM:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, 7 * 3 * width * height + (1 << 16))
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before
