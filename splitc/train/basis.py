"""Where a bottleneck starts: principal axes of blocks of a feature, as the answers feel them.

With the answers' metric M (the second moment of gradients of random directions of the answers) and the covariance C of
blocks, the axes are those of ``M^1/2 C M^1/2``: a unit of noise on any component costs the answers the same, so one
step for all is right, and the components that are cut off are those that the answers feel least. Without a metric it is
the plain Karhunen-Loeve transform.

Source: Karhunen 1947; the metric is Fisher's information (Amari 1998), of whole blocks instead of a diagonal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from splitc.types import F32, F64

LEAST_METRIC = 0.03
"""Share of the mean weight that every direction has at least: the metric holds for small changes only."""


@dataclass(frozen=True, eq=False)
class BlockBasis:
    """A linear transform of blocks and its inverse, strongest component first.

    Attributes:
        mean: Of each channel, float32 ``[C]``.
        analysis: float32 ``[c, C, s, s]``.
        synthesis: float32 ``[c, C, s, s]``.
    """

    mean: F32
    analysis: F32
    synthesis: F32

    def first(self, count: int) -> BlockBasis:
        """The ``count`` strongest components."""
        return BlockBasis(self.mean, self.analysis[:count], self.synthesis[:count])


def blocks_of(x: F32, stride: int) -> F32:
    """Blocks of ``[n, C, H, W]`` as rows ``[n * places, C * s * s]``; an incomplete block repeats the border."""
    n, channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (0, -height % stride), (0, -width % stride)), "edge")
    parts = padded.reshape(n, channels, padded.shape[2] // stride, stride, padded.shape[3] // stride, stride)
    rows: F32 = parts.transpose(0, 2, 4, 1, 3, 5).reshape(-1, channels * stride * stride)
    return rows


def block_metric(gradients: Iterable[F32], stride: int) -> F64:
    """Second moment of gradients over blocks, ``[C s s, C s s]``.

    Args:
        gradients: float32 ``[n, C, H, W]`` each.
        stride: Side of a block.
    """
    found, count = None, 0
    for one in gradients:
        rows = blocks_of(one, stride).astype(np.float64)
        found = rows.T @ rows if found is None else found + rows.T @ rows
        count += len(rows)
    assert found is not None, "no gradients"
    return np.asarray(found / count)


def fit_basis(features: Iterable[F32], stride: int, metric: F64 | None = None) -> BlockBasis:
    """All components of blocks.

    Args:
        features: float32 ``[n, C, H, W]`` each; at least one.
        stride: Side of a block.
        metric: How the answers feel a block, ``[C s s, C s s]``; None: all directions alike.
    """
    moment, total, count, channels = None, None, 0, 0
    for one in features:
        channels = one.shape[1]
        rows = blocks_of(one, stride).astype(np.float64)
        moment = rows.T @ rows if moment is None else moment + rows.T @ rows
        total = rows.sum(0) if total is None else total + rows.sum(0)
        count += len(rows)
    assert moment is not None, "no features"
    assert total is not None, "no features"
    mean = (total / count).reshape(channels, -1).mean(1)
    each = np.repeat(mean, stride * stride)
    covariance = moment / count - np.outer(total / count, each) - np.outer(each, total / count) + np.outer(each, each)
    root, inverse = _roots(metric, len(covariance))
    _, axes = np.linalg.eigh(root @ covariance @ root)
    axes = axes[:, ::-1]
    axes *= np.where(axes[np.abs(axes).argmax(0), np.arange(len(axes))] < 0, -1.0, 1.0)
    shape = (len(axes), channels, stride, stride)
    analysis, synthesis = (axes.T @ root).reshape(shape), (axes.T @ inverse).reshape(shape)
    return BlockBasis(mean.astype(np.float32), analysis.astype(np.float32), synthesis.astype(np.float32))


def _roots(metric: F64 | None, size: int) -> tuple[F64, F64]:
    """The symmetric square root of the metric, and its inverse."""
    if metric is None:
        return np.eye(size), np.eye(size)
    values, vectors = np.linalg.eigh(metric)
    kept = np.maximum(values, 0) + LEAST_METRIC * max(float(values.mean()), np.finfo(np.float64).tiny)
    root = np.sqrt(kept)
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
