"""How far an activation's eight bits reach: what was seen of it, and rules that make a range of that.

A network wants the one or the other rule: outliers that matter must be kept, and useless ones cut. So several are tried
(:mod:`splitc.passes.quantization_choice`) on one record of what the values were.

Ranges across folds. With the range R a value is rounded to steps of R / 127, and what exceeds R is clipped to it. The
R of least error on the calibration samples hardly exceeds their largest magnitude, but other samples do, most of all in
deep, small maps, where a sample has few values. So every fourth sample in turn plays the unseen ones: for a multiple c
of the largest magnitude in the *other* three folds, the fold's error is the sum of ``|x - quantized(x)| ** norm`` over
a histogram. c may exceed 1, which leaves headroom. Each fold's errors are divided by their least one, so that a fold
with outliers does not outvote the rest, and the c of the least sum, times the largest magnitude of all samples, is the
range. One fold gives the plain range of least error. Consecutive samples fall into different folds: frames of one
video resemble each other more than another video will, and their ranges are that much too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import run_with
from splitc.types import F64, Array, Feeds

TOP = 127
BINS = 2048
REACHES = np.linspace(0.3, 2.0, 69)
"""Multiples of the largest value that are tried as the range."""
FOLDS = 4
NORM = 2.5
"""Power of an activation's error that its range makes small; Nahshan et al. 2019 (LAPQ) search it about here."""
LEAST_RANGE = 1e-9


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """Magnitudes of one value on calibration samples; sample ``i`` is of fold ``i % folds``.

    Attributes:
        counts: Histogram of every fold from 0 to the largest of ``tops``, ``[folds, bins]``.
        tops: Largest magnitude of every fold, ``[folds]``; where one is not finite, nothing is counted.
    """

    counts: F64
    tops: F64


Rule = Callable[[Magnitudes], float]
"""What was seen of a value -> the largest magnitude to represent."""


def magnitudes_of(model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], folds: int) -> dict[str, Magnitudes]:
    """What the values ``names`` of a float model are on the samples, from two runs."""
    tops = {name: np.full(folds, LEAST_RANGE) for name in names}
    for name, fold, found in _folds(model, names, feeds, folds):
        tops[name][fold] = np.maximum(tops[name][fold], float(found.max()))
    finite = [name for name in names if np.isfinite(tops[name]).all()]
    counts: dict[str, F64] = {name: np.zeros((folds, BINS)) for name in names}
    for name, fold, found in _folds(model, finite, feeds, folds):
        places = (found * np.float32(BINS / tops[name].max())).astype(np.int32).ravel()
        counts[name][fold] += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
    return {name: Magnitudes(counts[name], tops[name]) for name in names}


def least_error(seen: Magnitudes, norm: float = NORM, folds: int = FOLDS) -> float:
    """The range at which clipping and rounding together cost the folds least; with ``folds`` 1, all samples as one."""
    counts, tops = seen.counts, seen.tops
    if folds == 1:
        counts, tops = counts.sum(0, keepdims=True), tops.max(keepdims=True)
    return float(tops.max()) * _best_reach(counts, tops, norm)


def largest(seen: Magnitudes) -> float:
    """The largest magnitude: nothing is clipped."""
    return float(seen.tops.max())


def percentile(seen: Magnitudes, percent: float) -> float:
    """The magnitude that ``percent`` of all values stay below."""
    below = np.cumsum(seen.counts.sum(0))
    bins = int(np.searchsorted(below, below[-1] * percent / 100)) + 1
    return float(seen.tops.max()) * min(bins, BINS) / BINS


ACROSS_FOLDS = "least error to the power 2.5, across folds"
RULES: Mapping[str, Rule] = {
    ACROSS_FOLDS: least_error,
    "least error to the power 3": partial(least_error, norm=3, folds=1),
    "largest value": largest,
    "99.99 % of the values": partial(percentile, percent=99.99),
    "99.9 % of the values": partial(percentile, percent=99.9),
}
"""Rules that are tried, by what the report calls them; the first one is kept where no other is clearly better."""


def ranges_of(seen: Mapping[str, Magnitudes], rule: Rule) -> dict[str, float]:
    """The range of every value by one rule: never zero, and infinite for values that hold NaN or infinities."""
    finite = {name: one for name, one in seen.items() if np.isfinite(one.tops).all()}
    return {name: max(rule(one), LEAST_RANGE) if name in finite else float("inf") for name, one in seen.items()}


def _folds(
    model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], folds: int
) -> Iterator[tuple[str, int, Array]]:
    """Magnitudes of every value, fold by fold: sample ``i`` of all is of fold ``i % folds``."""
    first = 0
    for values in run_with(model, names, feeds, only=True) if names else ():
        for name in names:
            for fold in range(folds):
                found = np.abs(values[name][(fold - first) % folds :: folds])
                if found.size:
                    yield name, fold, found
        first += len(values[names[0]])


def _best_reach(counts: F64, tops: F64, norm: float) -> float:
    """Multiple of the largest value at which clipping and rounding together cost the folds least.

    Args:
        counts: Histogram of every fold from 0 to the largest of ``tops``, ``[folds, bins]``.
        tops: Largest value of every fold.
        norm: Power of the errors.
    """
    middles = (np.arange(BINS) + 0.5) / BINS * tops.max()
    costs = np.zeros(len(REACHES))
    filled = [fold for fold in range(len(tops)) if counts[fold].any()]
    for fold in filled:
        others = max((tops[one] for one in filled if one != fold), default=tops[fold])
        steps = REACHES[:, None] * others / TOP
        errors = np.abs(middles - np.minimum(np.rint(middles / steps), TOP) * steps) ** norm @ counts[fold]
        costs += errors / max(float(errors.min()), 1e-30)
    return float(REACHES[int(np.argmin(costs))])
