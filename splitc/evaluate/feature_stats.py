"""How the numbers of a feature are spread: the analysis before a quantizer is chosen.

Source: Xing et al., *Binary Representation and Compression of 3D CNN Features for Action Recognition* (2020): after a
ReLU about half of all elements are zero, most lie in [0, 1], and the rest falls off like an exponential.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from splitc.types import F64, Array, Feeds

KEPT = 4096
"""Positive elements of each sample, evenly spread, on which the fit is judged."""
KEPT_SAMPLES = 32
"""Samples whose elements those are, spread evenly; of more than this many, at least half as many."""


@dataclass(frozen=True)
class FeatureStats:
    """Numbers of one tensor over all samples.

    Attributes:
        name: The tensor.
        elements: How many were seen.
        zeros_share: Exactly zero.
        unit_share: In [0, 1], zeros included.
        negative_share: Below zero.
        mean, largest, smallest: Of all elements.
        exponential_rate: Greatest-likelihood rate of an exponential through the positive elements, 1 / their mean; None
            without any.
        exponential_distance: Kolmogorov-Smirnov distance between the positive elements and that exponential, 0 to 1.
    """

    name: str
    elements: int
    zeros_share: float
    unit_share: float
    negative_share: float
    mean: float
    largest: float
    smallest: float
    exponential_rate: float | None
    exponential_distance: float | None


def feature_stats(samples: Iterable[Feeds]) -> list[FeatureStats]:
    """Statistics of each tensor, in order.

    Args:
        samples: Tensors by name, one mapping a sample; what is not floating point is left out.
    """
    tallies: dict[str, _Tally] = {}
    for sample in samples:
        for name, tensor in sample.items():
            if tensor.dtype.kind == "f" and tensor.size:
                tallies.setdefault(name, _Tally()).add(tensor)
    return [tally.stats(name) for name, tally in tallies.items()]


@dataclass
class _Tally:
    elements: int = 0
    zeros: int = 0
    unit: int = 0
    positive: int = 0
    total: float = 0.0
    positive_total: float = 0.0
    largest: float = -np.inf
    smallest: float = np.inf
    samples: int = 0
    stride: int = 1
    kept: list[Array] = field(default_factory=list)

    def add(self, tensor: Array) -> None:
        x = np.asarray(tensor, np.float64).ravel()
        positive = x[x > 0]
        self._keep(positive[:: max(1, positive.size // KEPT)].astype(tensor.dtype))
        self.elements += x.size
        self.zeros += int(np.count_nonzero(x == 0))
        self.unit += int(np.count_nonzero((x >= 0) & (x <= 1)))
        self.positive += positive.size
        self.total += float(x.sum())
        self.positive_total += float(positive.sum())
        self.largest = max(self.largest, float(x.max()))
        self.smallest = min(self.smallest, float(x.min()))

    def _keep(self, some: Array) -> None:
        """Those of every ``stride``-th sample that has any; the stride doubles whenever they become too many."""
        if not some.size:
            return
        if self.samples % self.stride == 0:
            self.kept.append(some)
        self.samples += 1  # with positive elements
        if len(self.kept) > KEPT_SAMPLES:
            self.kept, self.stride = self.kept[::2], 2 * self.stride

    def stats(self, name: str) -> FeatureStats:
        rate = self.positive / self.positive_total if self.positive else None
        negative = self.elements - self.zeros - self.positive
        return FeatureStats(
            name=name,
            elements=self.elements,
            zeros_share=self.zeros / self.elements,
            unit_share=self.unit / self.elements,
            negative_share=negative / self.elements,
            mean=self.total / self.elements,
            largest=self.largest,
            smallest=self.smallest,
            exponential_rate=rate,
            exponential_distance=None if rate is None else exponential_distance(self._some(), rate),
        )

    def _some(self) -> F64:
        """The kept elements; only where there are any positive ones at all."""
        return np.concatenate(self.kept).astype(np.float64)


def exponential_distance(values: F64, rate: float) -> float:
    """Largest gap between the distribution of ``values`` (positive, any order) and ``1 - exp(-rate v)``."""
    ordered = np.sort(values)
    model = 1 - np.exp(-rate * ordered)
    steps = np.arange(ordered.size + 1) / ordered.size
    return float(max(np.max(steps[1:] - model), np.max(model - steps[:-1])))
