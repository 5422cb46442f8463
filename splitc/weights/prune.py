"""Which weights to remove: masks by magnitude, per layer, over all layers, or N of M (RT9, RT11)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from splitc.errors import CodecError
from splitc.types import Array


def count_removed(size: int, share: float) -> int:
    """How many of ``size`` weights to remove: exactly ``floor(size * share)``, for decimals as they are written.

    Raises:
        CodecError: ``share`` is outside 0..1.
    """
    if not 0 <= share < 1:
        raise CodecError(f"weights: the share to prune is {share}, must be at least 0 and below 1.")
    return int(size * share + 1e-9)


def keep_largest(weights: Array, share: float) -> Array:
    """All but the smallest ``share`` of ``weights``, by magnitude; of equals the first ones are removed. Same shape."""
    kept = np.ones(weights.size, bool)
    order = np.argsort(np.abs(weights), axis=None, kind="stable")
    kept[order[: count_removed(weights.size, share)]] = False
    return kept.reshape(weights.shape)


def keep_largest_of_all(layers: Mapping[str, Array], share: float) -> dict[str, Array]:
    """One threshold over all layers, each measured in its own root mean square; of equals the first are removed."""
    scaled = [np.abs(one).ravel() / max(float(np.sqrt(np.mean(np.square(one)))), 1e-30) for one in layers.values()]
    kept = keep_largest(np.concatenate(scaled), share)
    ends = np.cumsum([one.size for one in layers.values()])[:-1]
    parts = np.split(kept, ends)
    return {name: part.reshape(one.shape) for (name, one), part in zip(layers.items(), parts, strict=True)}


def check_runs(n: int, m: int) -> None:
    """Raises: CodecError: ``n`` is not between 1 and ``m``."""
    if not 1 <= n < m:
        raise CodecError(f"weights: {n}:{m} sparsity keeps {n} of {m}; must keep at least 1 and fewer than all.")


def keep_largest_of_runs(weights: Array, n: int, m: int) -> Array:
    """The ``n`` largest of every ``m`` neighbours along the last axis, ``[..., k]``; an incomplete run stays.

    Raises:
        CodecError: ``n`` is not between 1 and ``m``.
    """
    check_runs(n, m)
    whole = weights.shape[-1] // m * m
    runs = np.abs(weights[..., :whole]).reshape(*weights.shape[:-1], -1, m)
    order = np.argsort(-runs, axis=-1, kind="stable")
    chosen = np.zeros(runs.shape, bool)
    np.put_along_axis(chosen, order[..., :n], True, axis=-1)
    kept = np.ones(weights.shape, bool)
    kept[..., :whole] = chosen.reshape(*weights.shape[:-1], whole)
    return kept
