"""The 2 x 2 discrete cosine transform of a plane: sums and differences of neighbours, as planes of half the size.

Plane ``4 c + f`` holds frequency f of channel c; f = 0 is the mean, 1 the difference along the last axis, 2 along the
one before it, 3 along both. Where a side is odd its border counts twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitc.types import F32

ROOT = np.float32(np.sqrt(0.5))


def to_blocks(wire: F32, axes: int) -> F32:
    """``[n, C, ..., H, W]`` to ``[n, C * 2**axes, ..., H / 2, W / 2]``; orthonormal.

    Args:
        wire: float32.
        axes: 1 or 2, how many of the last ones are halved.
    """
    padded = np.pad(wire, [(0, 0)] * (wire.ndim - axes) + [(0, size % 2) for size in wire.shape[-axes:]], "edge")
    found = padded[:, :, None]
    for axis in range(wire.ndim - 1, wire.ndim - axes - 1, -1):
        even, odd = (found.take(range(start, found.shape[axis + 1], 2), axis + 1) for start in (0, 1))
        found = np.concatenate([(even + odd) * ROOT, (even - odd) * ROOT], axis=2)
    merged: F32 = np.ascontiguousarray(found.reshape(wire.shape[0], -1, *found.shape[3:]))
    return merged


def from_blocks(planes: F32, shape: Sequence[int], axes: int) -> F32:
    """Invert :func:`to_blocks` to a wire of ``shape``."""
    found = planes.reshape(planes.shape[0], shape[1], 2**axes, *planes.shape[2:])
    for axis in range(len(shape) - axes, len(shape)):
        sums, differences = np.split(found, 2, axis=2)
        both = np.stack([(sums + differences) * ROOT, (sums - differences) * ROOT], axis=axis + 2)
        sizes = [*sums.shape]
        sizes[axis + 1] *= 2
        found = both.reshape(sizes)
    every = slice(None)
    crop = (every, every, *map(slice, shape[2:]))
    restored: F32 = np.ascontiguousarray(np.asarray(found[:, :, 0])[crop])
    return restored


def kernels(axes: int, rank: int) -> F32:
    """The blocks of one channel as filters: float32 ``[2**axes, 1, ..., 2, 2]`` for convolutions of stride 2.

    Args:
        axes: 1 or 2, how many of the last ones are halved.
        rank: Of the wire; axes that are not halved have a kernel of size 1.
    """
    one = np.array([[1, 1], [1, -1]], np.float32) * ROOT
    found = one if axes == 1 else np.einsum("ah,bw->abhw", one, one).reshape(4, 2, 2).astype(np.float32)
    shaped: F32 = found.reshape(2**axes, 1, *[1] * (rank - 2 - axes), *[2] * axes)
    return shaped
