"""H.264 through libx264: faster than HEVC, and up to 8 % larger on most features. 4:0:0 at 8 and 10 bits."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from splitc.codec.entropy.picture_codec import EncoderSettings, PictureCodec, join_units, split_units
from splitc.codec.entropy.picture_coder import PictureCoder

PARAMETER_SETS = (7, 8)  # SPS, PPS
PICTURES = range(1, 6)  # coded slices


def _unit_type(unit: bytes) -> int:
    return unit[0] & 31


def _options(settings: EncoderSettings, depth: int) -> dict[str, str]:
    """x264 counts 6 a bit more where others count from the same 0 at any depth."""
    qp = settings.qp + 6 * (depth - 8)
    told = f"keyint={settings.gop}:min-keyint={settings.gop}:scenecut=0:bframes=0:ipratio=1"
    return {"preset": settings.preset, "tune": "zerolatency", "qp": str(qp), "x264-params": told}


H264_CODEC = PictureCodec(
    name="h264",
    encoder="libx264",
    decoder="h264",
    pixel_formats={8: "gray", 10: "gray10le"},
    options=_options,
    split=partial(split_units, kind=_unit_type, sets=PARAMETER_SETS, pictures=PICTURES),
    join=partial(join_units, name="h264", kind=_unit_type, pictures=PICTURES),
)


class H264(PictureCoder):
    """Tiled channels through x264."""

    name: ClassVar[str] = "h264"
    wire_id: ClassVar[int] = 25
    max_bits: ClassVar[int] = 10
    codec: ClassVar[PictureCodec] = H264_CODEC
