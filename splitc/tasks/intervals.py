"""Shares with their confidence intervals, from sums alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from pydantic import Field

from splitc.types import Frozen

CONFIDENCE = 0.95
FEW_SAMPLES = 30
"""With fewer, a share's interval is wide, and the verdict says so."""
PLAIN, EFFECTIVE = "Wilson", "Wilson, effective count over samples"


class Share(Frozen):
    """A share with its 95 % interval.

    Attributes:
        value: 0 to 1.
        lower, upper: Bounds of the interval.
        method: How it was made.
    """

    value: float = Field(ge=0, le=1)
    lower: float = Field(ge=0, le=1)
    upper: float = Field(ge=0, le=1)
    method: str

    @property
    def is_of_samples(self) -> bool:
        """Whether each sample was one yes or no."""
        return self.method == PLAIN

    def lower_at(self, confidence: float) -> float:
        """Lower bound of the interval of another confidence, by the same formula and count as this one.

        Args:
            confidence: 0 to 1, both excluded; 0.95 gives ``lower``.
        """
        if self.lower in (0.0, self.value):
            return self.lower
        z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
        count = z * z * self.lower * (1 - self.lower) / (self.value - self.lower) ** 2
        return wilson(self.value, count, confidence)[0]

    @property
    def interval(self) -> tuple[float, float]:
        return self.lower, self.upper


@dataclass
class RunningShare:
    """``sum(a) / sum(b)`` over samples with ``0 <= a <= b``, from sums: its memory does not grow.

    Where every sample is one yes or no, the interval is Wilson's. Parts of one sample (boxes, pixels, pairs) are not
    independent: then the count that enters Wilson's interval is the effective one, ``p (1 - p) / variance``, with the
    variance between samples of the ratio, linearized, and the correction ``(z / t)^2`` for few samples. Where samples
    show no spread because all of them agree, or none, it is the number of samples.

    Source: Wilson 1927; effective counts: Korn & Graubard, Survey Methodology 24 (1998).
    """

    samples: int = 0
    a: float = 0.0
    b: float = 0.0
    aa: float = 0.0
    ab: float = 0.0
    bb: float = 0.0

    def add(self, a: float, b: float = 1.0) -> None:
        """Count one sample: ``a`` of ``b`` agree."""
        self.samples += 1
        self.a, self.b = self.a + a, self.b + b
        self.aa, self.ab, self.bb = self.aa + a * a, self.ab + a * b, self.bb + b * b

    def share(self) -> Share:
        """The share so far; 0 with the interval 0 to 1 where nothing was counted."""
        if self.b <= 0:
            return Share(value=0.0, lower=0.0, upper=1.0, method="nothing counted")
        p = min(self.a / self.b, 1.0)
        is_plain = self.aa == self.a and self.bb == self.b == self.samples
        lower, upper = wilson(p, self.samples if is_plain else self._effective(p))
        return Share(value=p, lower=lower, upper=upper, method=PLAIN if is_plain else EFFECTIVE)

    def _effective(self, p: float) -> float:
        n = self.samples
        squares = max(self.aa - 2 * p * self.ab + p * p * self.bb, 0.0)
        if n < 2 or p in (0.0, 1.0):
            return float(n)
        correction = (NormalDist().inv_cdf((1 + CONFIDENCE) / 2) / t_quantile(n - 1)) ** 2
        variance = n / (n - 1) * squares / self.b**2
        return min(max(p * (1 - p) / max(variance, 1e-300) * correction, 1.0), max(self.b, 1.0))


@dataclass
class PairedDifference:
    """Differences of two measures on the same samples, from sums."""

    samples: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, one: float, other: float) -> None:
        """Count one sample."""
        self.samples += 1
        self.total += one - other
        self.squares += (one - other) ** 2

    @property
    def error(self) -> float | None:
        """Standard error of the mean difference; None below two samples."""
        if self.samples < 2:
            return None
        spread = max(self.squares - self.total**2 / self.samples, 0.0)
        return math.sqrt(spread / (self.samples - 1) / self.samples)


def wilson(share: float, count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a share seen among ``count`` independent trials.

    Args:
        share: 0 to 1.
        count: Above 0; may be fractional.
        confidence: Of the interval, 0 to 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    lower = 0.0 if share == 0 else max(centre - half, 0.0)
    return lower, 1.0 if share == 1 else min(centre + half, 1.0)


def t_quantile(degrees: int) -> float:
    """97.5 % quantile of Student's t, by its expansion around the normal one; 3 % too small at 3 degrees.

    Source: Abramowitz & Stegun, 26.7.5. One and two degrees are exact.
    """
    if degrees < 3:
        return 12.706 if degrees == 1 else 4.303
    z, v = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), float(degrees)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3


def percent(share: float) -> str:
    """``97.6 %``; with more digits where one would make less than everything 100 %, or more than nothing 0 %."""
    for digits in (1, 2, 3, 4):
        text = f"{100 * share:.{digits}f}"
        if share in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            return f"{text} %"
    return "over 99.999 %" if share > 0.5 else "under 0.001 %"
