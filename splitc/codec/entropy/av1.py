"""AV1 through SVT-AV1, which knows only 4:2:0: colour planes of no colour cost it a few bytes. 8 and 10 bits."""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.entropy.picture_coder import PictureCoder
from splitc.codec.pictures.codecs import AV1, PictureCodec


class Av1(PictureCoder):
    """Tiled channels through SVT-AV1."""

    name: ClassVar[str] = "av1"
    wire_id: ClassVar[int] = 26
    max_bits: ClassVar[int] = 10
    codec: ClassVar[PictureCodec] = AV1
