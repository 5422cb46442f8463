"""What each video codec is: its names, its pixel formats, what its encoder is told, how its packets are taken apart.

Data and pure functions: PyAV is not needed to read this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from splitc.codec.pictures.units import join_open_units, join_units, split_open_units, split_units
from splitc.errors import CodecError

PRESET = "medium"
"""Speed of an encoder unless told otherwise; x264's and x265's name."""


@dataclass(frozen=True)
class EncoderSettings:
    """What the encoder of a stream of symbols is told: a constant QP, and every frame at once.

    Attributes:
        qp: The encoder's own quantization parameter, not our quantizers': 0..51, AV1 0..63.
        gop: Frames from one intra frame to the next; 1: all are intra. Never B-frames.
        preset: x264's and x265's names, "ultrafast" to "placebo".
    """

    qp: int = 22
    gop: int = 1
    preset: str = PRESET


@dataclass(frozen=True)
class PictureCodec:
    """One video codec as FFmpeg offers it.

    Attributes:
        name: Ours.
        encoder: FFmpeg's.
        decoder: FFmpeg's.
        pixel_formats: FFmpeg's name by bits a pixel; the first plane holds the picture.
        qp_options: Of the encoder of symbols, from settings and bits a pixel.
        crf_options: Of the encoder of colour pictures, from its constant rate factor.
        split: An encoder's packet to ``(parameter sets, the rest)``.
        join: The rest, as a decoder takes it; raises BitstreamError on anything but pictures.
        opens_each_gop: The encoder sends a frame off at once only where GOPs are streams of their own.
        least_side: Of colour pictures at a rate factor, for which the encoder looks ahead: its output for smaller ones
            differs from run to run, so they are padded.
    """

    name: str
    encoder: str
    decoder: str
    pixel_formats: Mapping[int, str]
    qp_options: Callable[[EncoderSettings, int], dict[str, str]]
    crf_options: Callable[[int], dict[str, str]]
    split: Callable[[bytes], tuple[bytes, bytes]]
    join: Callable[[bytes], bytes]
    opens_each_gop: bool = False
    least_side: int = 64

    def depth(self, bits: int) -> int:
        """Bits a pixel of pictures that hold symbols of ``bits`` bits.

        Raises:
            CodecError: More bits than the codec takes.
        """
        fitting = [depth for depth in self.pixel_formats if depth >= bits >= 1]
        if not fitting:
            raise CodecError(f"{self.name}: {bits} bits per symbol, must be 1..{max(self.pixel_formats)}.")
        return min(fitting)


# -- H.264 through libx264: 4:0:0 at 8 and 10 bits -------------------------------------------------------------------


def _h264_unit_type(unit: bytes) -> int:
    return unit[0] & 31


def _x264_at_qp(settings: EncoderSettings, depth: int) -> dict[str, str]:
    """x264 counts 6 a bit more where others count from the same 0 at any depth."""
    qp = settings.qp + 6 * (depth - 8)
    told = f"keyint={settings.gop}:min-keyint={settings.gop}:scenecut=0:bframes=0:ipratio=1"
    return {"preset": settings.preset, "tune": "zerolatency", "qp": str(qp), "x264-params": told}


def _x264_at_crf(crf: int) -> dict[str, str]:
    return {"crf": str(crf), "preset": PRESET}


_H264_SLICES = range(1, 6)
H264 = PictureCodec(
    name="h264",
    encoder="libx264",
    decoder="h264",
    pixel_formats={8: "gray", 10: "gray10le"},
    qp_options=_x264_at_qp,
    crf_options=_x264_at_crf,
    split=partial(split_units, kind=_h264_unit_type, sets=(7, 8), pictures=_H264_SLICES),  # SPS, PPS
    join=partial(join_units, name="h264", kind=_h264_unit_type, pictures=_H264_SLICES),
)


# -- HEVC through libx265: 4:0:0 at 8, 10 and 12 bits ----------------------------------------------------------------

_ONE_THREAD = {"frame-threads": 1, "pools": "none", "wpp": 0, "info": 0, "log-level": "none"}
"""x265 starts no thread and prints nothing."""


def _hevc_unit_type(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _x265_at_qp(settings: EncoderSettings, depth: int) -> dict[str, str]:
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
        **_ONE_THREAD,
    }
    return {"preset": settings.preset, "tune": "zerolatency", "x265-params": _listed(told)}


def _x265_at_crf(crf: int) -> dict[str, str]:
    return {"crf": str(crf), "preset": PRESET, "x265-params": _listed(_ONE_THREAD)}


def _listed(told: Mapping[str, object]) -> str:
    return ":".join(f"{key}={value}" for key, value in told.items())


_HEVC_SLICES = range(32)
HEVC = PictureCodec(
    name="hevc",
    encoder="libx265",
    decoder="hevc",
    pixel_formats={8: "gray", 10: "gray10le", 12: "gray12le"},
    qp_options=_x265_at_qp,
    crf_options=_x265_at_crf,
    split=partial(split_units, kind=_hevc_unit_type, sets=(32, 33, 34), pictures=_HEVC_SLICES),  # VPS, SPS, PPS
    join=partial(join_units, name="hevc", kind=_hevc_unit_type, pictures=_HEVC_SLICES),
    least_side=128,  # with 64, now and then a run gives other bytes
)


# -- AV1 through SVT-AV1, which knows only 4:2:0: colour planes of no colour cost it a few bytes. 8 and 10 bits -------

_SVT_PRESETS = {"ultrafast": 12, "superfast": 11, "veryfast": 10, "faster": 9, "fast": 9, "medium": 8, "slow": 6}
_SVT_SLOWEST = 4


def _svt_at_qp(settings: EncoderSettings, depth: int) -> dict[str, str]:
    """Low delay sends every frame at once; an all-intra stream of this library would wait for five."""
    told = f"rc=0:qp={settings.qp}:aq-mode=0:lp=1:keyint=-1:pred-struct=1:lookahead=0:scd=0"
    return {"preset": str(_SVT_PRESETS.get(settings.preset, _SVT_SLOWEST)), "svtav1-params": told}


def _svt_at_crf(crf: int) -> dict[str, str]:
    return {"crf": str(crf), "preset": str(_SVT_PRESETS[PRESET]), "svtav1-params": "lp=1:pred-struct=1"}


AV1 = PictureCodec(
    name="av1",
    encoder="libsvtav1",
    decoder="libdav1d",
    pixel_formats={8: "yuv420p", 10: "yuv420p10le"},
    qp_options=_svt_at_qp,
    crf_options=_svt_at_crf,
    split=split_open_units,
    join=join_open_units,
    opens_each_gop=True,
)

PICTURE_CODECS: Mapping[str, PictureCodec] = MappingProxyType({one.name: one for one in (AV1, H264, HEVC)})
