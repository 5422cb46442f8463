"""Lossless encodings of one tensor, one file each."""

from __future__ import annotations

from splitc.registry import Registry
from splitc.weights.encodings.base import Coded, Context, Encoding, Wanted

ENCODINGS = Registry[Encoding](
    "weight encoding",
    {
        "raw": "splitc.weights.encodings.raw:Raw",
        "planes": "splitc.weights.encodings.planes:Planes",
        "shared": "splitc.weights.encodings.shared:Shared",
        "levels": "splitc.weights.encodings.levels:Levels",
        "keep": "splitc.weights.encodings.keep:Keep",
        "patch": "splitc.weights.encodings.patch:Patch",
    },
)

__all__ = ["ENCODINGS", "Coded", "Context", "Encoding", "Wanted"]
