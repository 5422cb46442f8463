"""What a codec cannot take, said before anything is fitted or run; and the channel axis where no graph tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from splitc.codec.bitstream import DEFAULT_MAX_ELEMENTS
from splitc.codec.description import MAX_RANK
from splitc.codec.entropy.base import EntropyCoder
from splitc.codec.fitted import MAX_ROWS
from splitc.codec.spec import CodecSpec
from splitc.codec.transforms import Transform
from splitc.types import F32, F64, Layout, Shape, TensorSpec

FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
LOOKED_AT = 32
"""Samples whose numbers choose a channel axis."""
FLOOR = 1e-12
"""Variance, as a share of the tensor's, below which an index counts as constant."""


def refusal(spec: CodecSpec, tensor: TensorSpec, layout: Layout) -> str | None:
    """Why a codec cannot take a tensor, or None.

    Args:
        spec: The codec.
        tensor: Name, type and shape at the cut; names stand for dynamic sizes.
        layout: Which of its axes are samples and channels.

    Returns:
        What goes on behind ``value 'x'``: ``is int64; a codec takes float tensors``.
    """
    if tensor.dtype not in FLOATS:
        return f"is {tensor.dtype}; a codec takes float tensors"
    if fault := layout.fault(tensor.shape):
        return f"cannot be coded: {fault}"
    wire, transform = layout.wire_shape(tensor.shape), _transform(spec)
    if fault := _shape_refusal(wire) or transform.refusal(wire):
        return fault
    return _coder(spec).refusal(transform.wire_shape(wire))


def _shape_refusal(wire: Shape) -> str | None:
    sizes = [size for size in wire if isinstance(size, int)]
    if not 1 <= len(wire) <= MAX_RANK:
        return f"has {len(wire)} axes on the wire; a codec takes 1 to {MAX_RANK}"
    if 0 in sizes:
        return "is empty; a codec takes tensors with elements"
    if math.prod(sizes) > DEFAULT_MAX_ELEMENTS:
        return f"has {math.prod(sizes):,} elements; a codec takes at most {DEFAULT_MAX_ELEMENTS:,}"
    if len(wire) > 1 and isinstance(wire[1], int) and wire[1] > MAX_ROWS:
        return f"has {wire[1]:,} channels; a codec takes at most {MAX_ROWS:,}"
    return None


@lru_cache
def _transform(spec: CodecSpec) -> Transform:
    return spec.make_transform()


@lru_cache
def _coder(spec: CodecSpec) -> EntropyCoder:
    """One a spec: models have thousands of cuts."""
    return spec.make_entropy()


def choose_channel_axis(samples: Sequence[F32], layout: Layout, axes: Sequence[int]) -> Layout:
    """The layout with the channel axis along which the numbers differ most from index to index.

    The measure is the coding gain: the mean logarithm of the variance inside an index, against the logarithm of the
    whole variance. Few samples decide, the same ones always; of equals the first axis wins.

    Args:
        samples: Features of the cut's axes.
        layout: Its batch axis stays.
        axes: What may be the channel axis: axes of fixed size.
    """
    few = samples[:: max(1, len(samples) // LOOKED_AT)][:LOOKED_AT]
    if not axes or not few:
        return layout
    gains = [_gain([np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1) for x in few]) for axis in axes]
    return layout.model_copy(update={"channel_axis": axes[int(np.argmax(gains))]})


def _gain(rows: Sequence[F32]) -> float:
    """Nats per value that parameters for each index save; rows ``[indices, values]`` of every sample."""
    count = sum(one.shape[1] for one in rows)
    sums: F64 = np.sum([one.sum(1, dtype=np.float64) for one in rows], axis=0)
    squares: F64 = np.sum([np.square(one, dtype=np.float64).sum(1) for one in rows], axis=0)
    inside = np.maximum(squares / count - np.square(sums / count), 0)
    whole = max(float(squares.sum() / squares.size / count - np.square(sums.sum() / sums.size / count)), 0.0)
    if whole == 0:
        return 0.0
    return float(-0.5 * np.log(np.maximum(inside / whole, FLOOR)).mean())
