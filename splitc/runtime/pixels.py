"""8-bit pixels and a network's input: axes, channels, element type and numbers, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from splitc.errors import UsageError
from splitc.types import F32, U8, Array, Preprocess, Shape, TensorSpec

PICTURE_RANK = 4


@dataclass(frozen=True)
class PixelFormat:
    """How pixels lie in an input, and which numbers they are there.

    Attributes:
        channels: Their order, or ``grey`` for one.
        is_nhwc: The channels are the last axis; else they stand before height and width.
        dtype: Of the input. Numbers are computed in float32; an integer input gets them rounded.
        scale, mean, std: ``y = (pixel * scale - mean) / std``, one number for all channels or one a channel.
    """

    channels: Literal["rgb", "bgr", "grey"]
    is_nhwc: bool
    dtype: np.dtype[np.generic]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def depth(self) -> int:
        """Number of channels."""
        return 1 if self.channels == "grey" else 3

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of one picture in the input, without the batch."""
        return (height, width, self.depth) if self.is_nhwc else (self.depth, height, width)

    def input_from_pixels(self, pixels: U8) -> Array:
        """RGB or grey pixels ``[..., H, W, C]`` as the input has them, ``[..., C, H, W]`` or ``[..., H, W, C]``.

        Raises:
            UsageError: The input's integers cannot hold what scale, mean and std make of pixels.
        """
        ordered = pixels[..., ::-1] if self.channels == "bgr" else pixels
        values = self._typed(ordered)
        return np.ascontiguousarray(values if self.is_nhwc else np.moveaxis(values, -1, -3))

    def pixels_from_input(self, values: Array) -> U8:
        """Invert :meth:`input_from_pixels`, rounded and clipped to 0..255."""
        last = np.asarray(values if self.is_nhwc else np.moveaxis(values, -3, -1), np.float32)
        restored = (last * self._row(self.std) + self._row(self.mean)) / self.scale
        pixels: U8 = np.clip(np.rint(restored), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels[..., ::-1] if self.channels == "bgr" else pixels)

    def _typed(self, pixels: U8) -> Array:
        if self._keeps_pixels and self.dtype == np.uint8:
            return pixels
        numbers: F32 = (pixels.astype(np.float32) * np.float32(self.scale) - self._row(self.mean)) / self._row(self.std)
        if self.dtype.kind == "f":
            return numbers.astype(self.dtype, copy=False)
        bounds, whole = np.iinfo(self.dtype.name), np.rint(numbers)
        if whole.size and (whole.min() < bounds.min or whole.max() > bounds.max):
            raise UsageError(
                f"data.preprocess: scale, mean and std give numbers from {whole.min():g} to {whole.max():g}, and the "
                f"input is {self.dtype}; a uint8 input takes pixels as they are without them, int8 mean = [128.0]."
            )
        return whole.astype(self.dtype)

    @property
    def _keeps_pixels(self) -> bool:
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1.0}

    def _row(self, numbers: tuple[float, ...]) -> F32:
        return np.array(numbers, np.float32)


def pixel_format(spec: TensorSpec, how: Preprocess) -> PixelFormat:
    """How pixels become an input.

    Args:
        spec: The input: ``[N, C, H, W]``, ``[N, H, W, C]``, or with more axes a clip, channels on axis 1.
        how: What the recipe says.

    Raises:
        UsageError: An element type that no pixel becomes, or a shape that could be either layout.
    """
    dtype = _dtype(spec)
    depth = 1 if how.channels == "grey" else 3
    scale, mean, std = how.scale, how.mean[:depth], how.std[:depth]
    is_default = (scale, set(mean), set(std)) == (1 / 255, {0.0}, {1.0})
    if how.in_graph or (dtype.kind in "iu" and is_default):
        scale, mean, std = 1.0, (0.0,), (1.0,)
    return PixelFormat(how.channels, how.in_graph or _is_nhwc(spec, how, depth), dtype, scale, mean, std)


def _dtype(spec: TensorSpec) -> np.dtype[np.generic]:
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiu":
        raise UsageError(f"input {spec.name!r} is {spec.dtype}, which no picture becomes; give arrays.")
    return dtype


def _is_nhwc(spec: TensorSpec, how: Preprocess, depth: int) -> bool:
    if how.layout != "auto" or len(spec.shape) != PICTURE_RANK:
        return how.layout == "nhwc"
    if _may_be(spec.shape, -1, depth) and _may_be(spec.shape, 1, depth):
        if isinstance(spec.shape[1], int) and isinstance(spec.shape[-1], int):
            raise UsageError(
                f"input {spec.name!r} is {list(spec.shape)}, which may be NCHW or NHWC; "
                'set data.preprocess.layout = "nchw" or "nhwc".'
            )
        return spec.shape[-1] == depth and spec.shape[1] != depth
    return spec.shape[-1] == depth


def _may_be(shape: Shape, axis: int, depth: int) -> bool:
    return isinstance(shape[axis], str) or shape[axis] == depth
