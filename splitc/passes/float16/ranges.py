"""What float32 tensors of a graph hold, over calibration samples: sizes, sums and spread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import run_with
from splitc.passes.float16.operands import is_float
from splitc.types import Array, Feeds

SPREAD_ELEMENTS = 1 << 14
"""Values of a tensor that its mean and spread are estimated from."""
GROUP_ELEMENTS = 1 << 24
"""Elements of the tensors that are looked at in one run: 64 MiB."""


@dataclass(frozen=True)
class TensorRange:
    """Of one tensor, over all samples; infinities and NaN are not counted.

    Attributes:
        largest: Largest magnitude.
        smallest: Smallest magnitude that is not zero; infinite without any.
        total: Largest sum of magnitudes of a sample.
        energy: Largest sum of squares of a sample.
        elements: Number of elements of a sample, of the largest.
        offset: Largest ratio of mean to standard deviation of a sample; 0 for a constant one.
    """

    largest: float = 0.0
    smallest: float = np.inf
    total: float = 0.0
    energy: float = 0.0
    elements: int = 0
    offset: float = 0.0

    def __or__(self, other: TensorRange) -> TensorRange:
        return TensorRange(
            max(self.largest, other.largest),
            min(self.smallest, other.smallest),
            max(self.total, other.total),
            max(self.energy, other.energy),
            max(self.elements, other.elements),
            max(self.offset, other.offset),
        )


def range_of(array: Array) -> TensorRange:
    """Of one sample; integers count as numbers too, where a graph says of them that they are floats."""
    sizes = np.abs(array if array.dtype.kind == "f" else array.astype(np.float64)).ravel()
    is_finite = bool(np.isfinite(sizes.sum(dtype=np.float64)))
    sizes = sizes if is_finite else sizes[np.isfinite(sizes)]
    if not sizes.size:
        return TensorRange()
    return TensorRange(
        largest=float(sizes.max()),
        smallest=float(np.min(sizes, where=sizes > 0, initial=np.inf)),
        total=float(sizes.sum(dtype=np.float64)),
        energy=float(np.square(sizes, dtype=np.float64).sum()),
        elements=sizes.size,
        offset=_offset(array.ravel()),
    )


def _offset(values: Array) -> float:
    """Mean by standard deviation of :data:`SPREAD_ELEMENTS` evenly spaced values; 0 where all are equal."""
    some = np.asarray(values[:: max(1, len(values) // SPREAD_ELEMENTS)], np.float64)
    some = some[np.isfinite(some)]
    apart = float(some.std()) if some.size else 0.0
    return float(abs(some.mean())) / apart if apart > 0 else 0.0


def calibrated_ranges(model: ir.Model, feeds: Sequence[Feeds]) -> dict[str, TensorRange]:
    """Ranges of all float32 tensors of the top graph that samples go through, by name.

    Args:
        model: In float32.
        feeds: Samples of its inputs; none: no ranges.
    """
    found: dict[str, TensorRange] = {}
    if not feeds:
        return found
    named = [value for value in model.graph.inputs if is_float(value) and not value.is_initializer()]
    made = [value for node in model.graph for value in node.outputs if value.name and is_float(value)]
    for group in _groups([*named, *made]):
        for values in run_with(model, group, feeds, only=True):
            _add(found, values)
    return found


def _add(found: dict[str, TensorRange], values: Mapping[str, Array]) -> None:
    for name, array in values.items():
        found[name] = found.get(name, TensorRange()) | range_of(array)


def _groups(values: Iterable[ir.Value]) -> Iterator[list[str]]:
    """Names of values, as many at once as may be in memory; sizes that are not known count as 1."""
    group, elements = list[str](), 0
    for value in values:
        shape = () if value.shape is None else value.shape
        size = int(np.prod([dim if isinstance(dim, int) else 1 for dim in shape]))
        if group and elements + size > GROUP_ELEMENTS:
            yield group
            group, elements = [], 0
        group.append(value.name or "")
        elements += size
    if group:
        yield group
