"""Logits or probabilities? Told apart by real outputs, since no shape says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from splitc.errors import RecipeError
from splitc.types import F64

Activation: TypeAlias = Literal["auto", "logits", "probabilities"]
SUM_TOLERANCE = 0.01
"""How far the sum of a row of probabilities may be from 1: a thousand of them in float16 are 2e-3 away."""


@dataclass
class SeenValues:
    """What the outputs of examples look like.

    Attributes:
        samples: Finite examples so far.
        low, high: Extremes of their values.
        off_sum: Largest distance of a row's sum from 1.
        off_log_sum: The same of exponentials.
    """

    samples: int = 0
    low: float = np.inf
    high: float = -np.inf
    off_sum: float = 0.0
    off_log_sum: float = 0.0

    def add(self, values: F64, axis: int = -1) -> None:
        """Look at one example; one with NaN or infinities tells nothing.

        Args:
            values: Float64, any shape.
            axis: Of the classes.
        """
        if not values.size or not np.isfinite(values).all():
            return
        self.samples += 1
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.off_sum = max(self.off_sum, float(np.max(np.abs(values.sum(axis) - 1))))
        with np.errstate(over="ignore"):
            self.off_log_sum = max(self.off_log_sum, float(np.max(np.abs(np.exp(values).sum(axis) - 1))))

    @property
    def is_in_unit(self) -> bool:
        """Every value is in 0..1, within float16's rounding."""
        return self.low >= -1e-3 and self.high <= 1 + 1e-3

    @property
    def sums_to_one(self) -> bool:
        """Rows are shares of 1."""
        return self.is_in_unit and self.off_sum <= SUM_TOLERANCE

    @property
    def is_log(self) -> bool:
        """Rows are logarithms of shares of 1."""
        return self.high <= 1e-3 and self.off_log_sum <= SUM_TOLERANCE


def seen_values(examples: Sequence[F64], output: str, axis: int = -1) -> SeenValues:
    """Look at all examples.

    Raises:
        RecipeError: There are none, or none of them is finite.
    """
    seen = SeenValues()
    for values in examples:
        seen.add(values, axis)
    if not examples:
        raise RecipeError(
            f"output {output!r}: no examples tell logits from probabilities; give samples to look at, or write "
            'activation = "logits" or "probabilities".'
        )
    if not seen.samples:
        raise RecipeError(
            f"output {output!r}: all of the {len(examples)} examples have NaN or infinities, so nothing tells logits "
            'from probabilities; look at the network, or write activation = "logits" or "probabilities".'
        )
    return seen


def decide(seen: SeenValues, output: str, *, is_independent: bool) -> tuple[Activation, str]:
    """Logits or probabilities, and a note that says why.

    Args:
        seen: The examples.
        output: The output's name, for the note.
        is_independent: Every value is a yes or no by itself; else rows are shares of one answer.
    """
    on = f"on {seen.samples} {'sample' if seen.samples == 1 else 'samples'}"
    if is_independent and seen.is_in_unit:
        return "probabilities", f"output {output!r} is probabilities already: all values are in 0..1, {on}"
    if is_independent:
        return "logits", f"output {output!r} is logits: values reach {seen.low:.3g} and {seen.high:.3g}, {on}"
    if seen.sums_to_one:
        return "probabilities", f"output {output!r} is probabilities already: rows sum to 1, {on}"
    if seen.is_log:
        return "logits", f"output {output!r} is log-probabilities: exponentials of rows sum to 1, {on}"
    if seen.is_in_unit:
        return "logits", (
            f"output {output!r} is taken as logits: all values are in 0..1 but rows do not sum to 1, {on}; where they "
            "are probabilities of independent labels, write multi_label = true"
        )
    return "logits", f"output {output!r} is logits: values reach {seen.low:.3g} and {seen.high:.3g}, {on}"
