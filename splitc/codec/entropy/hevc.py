"""HEVC through libx265: the codec of Chen et al., Xing et al. and IFMDC's baselines. 4:0:0 at 8, 10 and 12 bits.

The papers' encoder is HM (Range Extensions); this one is x265, whose rates are within 3 to 8 % of it.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from splitc.codec.entropy.picture_codec import EncoderSettings, PictureCodec, join_units, split_units
from splitc.codec.entropy.picture_coder import PictureCoder

PARAMETER_SETS = (32, 33, 34)  # VPS, SPS, PPS
PICTURES = range(32)  # coded slices


def _unit_type(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _options(settings: EncoderSettings, depth: int) -> dict[str, str]:
    """Constant QP in every frame, one reference chain, coding tree units of 16 as the papers have them."""
    told = {
        "qp": settings.qp,
        "ipratio": 1,
        "pbratio": 1,
        "keyint": settings.gop,
        "min-keyint": settings.gop,
        "scenecut": 0,
        "open-gop": 0,
        "bframes": 0,
        "ctu": 16,
        "min-cu-size": 8,
        "frame-threads": 1,
        "pools": "none",
        "wpp": 0,
        "info": 0,
        "log-level": "none",
    }
    text = ":".join(f"{key}={value}" for key, value in told.items())
    return {"preset": settings.preset, "tune": "zerolatency", "x265-params": text}


HEVC = PictureCodec(
    name="hevc",
    encoder="libx265",
    decoder="hevc",
    pixel_formats={8: "gray", 10: "gray10le", 12: "gray12le"},
    options=_options,
    split=partial(split_units, kind=_unit_type, sets=PARAMETER_SETS, pictures=PICTURES),
    join=partial(join_units, name="hevc", kind=_unit_type, pictures=PICTURES),
)


class Hevc(PictureCoder):
    """Tiled channels through x265."""

    name: ClassVar[str] = "hevc"
    wire_id: ClassVar[int] = 24
    max_bits: ClassVar[int] = 12
    codec: ClassVar[PictureCodec] = HEVC
