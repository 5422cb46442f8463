"""Check arrays against a model's inputs before a toolkit sees them, so that a refusal is one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from splitc.errors import BackendError
from splitc.types import Array, Feeds, TensorSpec

UNNAMED = "?"
"""The name of a dynamic dimension that the model does not name; two of them may differ."""


def bind_dims(inputs: Sequence[TensorSpec], feeds: Feeds) -> dict[str, int]:
    """Check ``feeds`` against ``inputs``.

    Returns:
        Size of each named dynamic dimension.

    Raises:
        BackendError: A name, element type, rank or size does not fit.
    """
    _check_names(inputs, feeds)
    sizes: dict[str, int] = {}
    for spec in inputs:
        _check_one(spec, feeds[spec.name], sizes)
    return sizes


def describe(spec: TensorSpec) -> str:
    """``'image' float32[N, 3, 224, 224]``"""
    return f"{spec.name!r} {spec.dtype}[{', '.join(map(str, spec.shape))}]"


def _check_names(inputs: Sequence[TensorSpec], feeds: Feeds) -> None:
    if len(feeds) == len(inputs) and all(spec.name in feeds for spec in inputs):
        return
    wanted = {spec.name for spec in inputs}
    unknown, missing = sorted(set(feeds) - wanted), sorted(wanted - set(feeds))
    if unknown or missing:
        faults = [f"unknown input {name!r}" for name in unknown] + [f"input {name!r} is missing" for name in missing]
        raise BackendError(f"{'; '.join(faults)}. The model takes {', '.join(map(describe, inputs)) or 'nothing'}.")


def _check_one(spec: TensorSpec, array: Array, sizes: dict[str, int]) -> None:
    if _name(array.dtype) != spec.dtype or array.ndim != len(spec.shape):
        raise BackendError(f"input {describe(spec)} was given {_given(array)}.")
    for axis, (size, dim) in enumerate(zip(array.shape, spec.shape, strict=True)):
        wanted = sizes.setdefault(dim, size) if isinstance(dim, str) and dim != UNNAMED else dim
        if isinstance(wanted, int) and wanted != size:
            raise BackendError(f"input {describe(spec)} was given {_given(array)}: axis {axis} must be {wanted}.")


@lru_cache(64)
def _name(dtype: np.dtype[Any]) -> str:
    """Cached: NumPy computes it again each time, which takes as long as a small network."""
    return str(dtype)


def _given(array: Array) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"
