"""Entropy coders: symbols <-> payload bytes. Integers only, the same bytes on every machine.

The picture codecs among them (extra ``video``) are lossy, and their bytes are their encoders' affair.
"""

from __future__ import annotations

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder
from splitc.registry import Registry

PICTURE_CODERS = ("av1", "h264", "hevc")
"""The lossy ones."""
ENTROPY_CODERS: Registry[EntropyCoder] = Registry(
    "entropy coder",
    {
        "av1": "splitc.codec.entropy.av1:Av1",
        "cohen": "splitc.codec.entropy.cohen:Cohen",
        "h264": "splitc.codec.entropy.h264:H264",
        "hevc": "splitc.codec.entropy.hevc:Hevc",
        "huffman": "splitc.codec.entropy.huffman:Huffman",
        "mix": "splitc.codec.entropy.mix:Mix",
        "nrle": "splitc.codec.entropy.nrle:Nrle",
        "range": "splitc.codec.entropy.range_coder:Range",
        "rans": "splitc.codec.entropy.rans:Rans",
        "zstd": "splitc.codec.entropy.zstd:Zstd",
    },
    extras=dict.fromkeys(PICTURE_CODERS, "video"),
)

__all__ = ["ENTROPY_CODERS", "PICTURE_CODERS", "ChunkCoder", "EntropyCoder"]
