"""Transforms: features <-> the planes that are quantized. The first stage of a codec."""

from __future__ import annotations

from splitc.codec.transforms.base import Basis, Transform, block_axes
from splitc.codec.transforms.blocks import kernels
from splitc.registry import Registry

TRANSFORMS: Registry[Transform] = Registry(
    "transform",
    {
        "none": "splitc.codec.transforms.none:NoTransform",
        "dct": "splitc.codec.transforms.dct:Dct",
        "klt": "splitc.codec.transforms.klt:Klt",
        "auto": "splitc.codec.transforms.auto:Auto",
    },
)

__all__ = ["TRANSFORMS", "Basis", "Transform", "block_axes", "kernels"]
