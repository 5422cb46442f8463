"""Entropy coders: symbols <-> payload bytes. Integers only, the same bytes on every machine."""

from __future__ import annotations

from splitc.codec.entropy.base import ChunkCoder, EntropyCoder
from splitc.registry import Registry

ENTROPY_CODERS: Registry[EntropyCoder] = Registry(
    "entropy coder",
    {
        "cohen": "splitc.codec.entropy.cohen:Cohen",
        "huffman": "splitc.codec.entropy.huffman:Huffman",
        "nrle": "splitc.codec.entropy.nrle:Nrle",
        "range": "splitc.codec.entropy.range_coder:Range",
        "rans": "splitc.codec.entropy.rans:Rans",
        "zstd": "splitc.codec.entropy.zstd:Zstd",
    },
)

__all__ = ["ENTROPY_CODERS", "ChunkCoder", "EntropyCoder"]
