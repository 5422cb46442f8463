"""Tilings: how the channels of a feature become pictures for a picture coder, and back without loss."""

from __future__ import annotations

from splitc.codec.tilings.base import Tiling
from splitc.registry import Registry

TILINGS: Registry[Tiling] = Registry(
    "tiling",
    {
        "channel_frames": "splitc.codec.tilings.channel_frames:ChannelFrames",
        "clip": "splitc.codec.tilings.clip:Clip",
        "mosaic": "splitc.codec.tilings.mosaic:Mosaic",
        "quilt": "splitc.codec.tilings.quilt:Quilt",
    },
)

__all__ = ["TILINGS", "Tiling"]
