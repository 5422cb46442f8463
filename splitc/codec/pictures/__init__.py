"""Video codecs as FFmpeg offers them: grey pictures of symbols at a constant QP, colour pictures at a constant quality.

                              ┌── frames.py   symbols [F, H, W], each frame to its packet at once
    codecs.py  what each is ──┤
                              └── video.py    RGB [T, H, W, 3], as a camera's encoder does it
                pyav.py       the only module that opens an encoder or a decoder

Lossy. PyAV is the extra ``video``: this module and :mod:`splitc.codec.pictures.codecs` import without it.
"""

from __future__ import annotations

from splitc.codec.pictures.codecs import PICTURE_CODECS, PictureCodec
from splitc.types import U8

__all__ = ["PICTURE_CODECS", "PictureCodec", "code_video"]


def code_video(frames: U8, crf: int, codec: str = "h264") -> tuple[int, U8]:
    """Encode colour pictures and decode them again: what sending them as video costs, and what arrives.

    Args:
        frames: RGB, uint8 ``[T, H, W, 3]``, in display order.
        crf: Constant rate factor: 0..51, AV1 0..63; larger is smaller and worse.
        codec: A key of :data:`PICTURE_CODECS`.

    Returns:
        Bytes of all packets, parameter sets included; and RGB of the same shape.

    Raises:
        CapabilityError: PyAV is not installed, or has no such encoder.
        CodecError: Frames that cannot be coded, or an unknown codec.
    """
    from splitc.codec.pictures.video import through_video

    return through_video(frames, crf, codec)
