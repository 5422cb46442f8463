"""AV1 through SVT-AV1, which knows only 4:2:0: colour planes of no colour cost it a few bytes. 8 and 10 bits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import ClassVar

from splitc.codec.entropy.picture_codec import EncoderSettings, PictureCodec
from splitc.codec.entropy.picture_coder import PictureCoder
from splitc.errors import BitstreamError

os.environ.setdefault("SVT_LOG", "0")  # the library prints thirty lines an encoder, and has no other switch

SEQUENCE_HEADER = 1
PICTURES = {3, 4, 6}  # frame header, tile group, frame
PRESETS = {"ultrafast": 12, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 9, "medium": 8, "slow": 6}
SLOWEST = 4


def _options(settings: EncoderSettings, depth: int) -> dict[str, str]:
    """Low delay sends every frame at once; an all-intra stream of this library would wait for five."""
    told = f"rc=0:qp={settings.qp}:aq-mode=0:lp=1:keyint=-1:pred-struct=1:lookahead=0:scd=0"
    return {"preset": str(PRESETS.get(settings.preset, SLOWEST)), "svtav1-params": told}


def _units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """``(type, unit)`` of every open bitstream unit, whose sizes are in them.

    Raises:
        BitstreamError: A unit without a size, or longer than the stream.
    """
    start = 0
    while start < len(stream):
        head, has_extension, has_size = stream[start], stream[start] >> 2 & 1, stream[start] >> 1 & 1
        at = start + 1 + has_extension
        size = shift = 0
        while at < len(stream):
            byte = stream[at]
            size |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128 or shift > 28:
                break
        if not has_size or at + size > len(stream):
            raise BitstreamError(f"av1: the unit at byte {start} of a packet has no size, or ends after it.")
        yield head >> 3 & 15, stream[start : at + size]
        start = at + size


def _split(stream: bytes) -> tuple[bytes, bytes]:
    units = list(_units(stream))
    sets = b"".join(unit for kind, unit in units if kind == SEQUENCE_HEADER)
    return sets, b"".join(unit for kind, unit in units if kind in PICTURES)


def _join(packet: bytes) -> bytes:
    strangers = sorted({kind for kind, _ in _units(packet)} - PICTURES)
    if strangers or not packet:
        found = f"units of type {strangers}" if strangers else "no unit"
        raise BitstreamError(f"av1: a packet holds {found}; only pictures are read.")
    return packet


AV1_CODEC = PictureCodec(
    name="av1",
    encoder="libsvtav1",
    decoder="libdav1d",
    pixel_formats={8: "yuv420p", 10: "yuv420p10le"},
    options=_options,
    split=_split,
    join=_join,
    opens_each_gop=True,
)


class Av1(PictureCoder):
    """Tiled channels through SVT-AV1."""

    name: ClassVar[str] = "av1"
    wire_id: ClassVar[int] = 26
    max_bits: ClassVar[int] = 10
    codec: ClassVar[PictureCodec] = AV1_CODEC
