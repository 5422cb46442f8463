"""HEVC through libx265: the codec of Chen et al., Xing et al. and IFMDC's baselines. 4:0:0 at 8, 10 and 12 bits.

The papers' encoder is HM (Range Extensions); this one is x265, whose rates are within 3 to 8 % of it.
"""

from __future__ import annotations

from typing import ClassVar

from splitc.codec.entropy.picture_coder import PictureCoder
from splitc.codec.pictures.codecs import HEVC, PictureCodec


class Hevc(PictureCoder):
    """Tiled channels through x265."""

    name: ClassVar[str] = "hevc"
    wire_id: ClassVar[int] = 24
    max_bits: ClassVar[int] = 12
    codec: ClassVar[PictureCodec] = HEVC
