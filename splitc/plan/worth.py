"""What a way's answers are worth: whether they keep the limits, and which of two ways answers better.

A limit of the recipe refuses a way only where few samples leave no doubt. Without one, a way that keeps the usual
fidelity goes before those that do not: nobody asks for a cut whose answers are not the network's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from splitc.plan.ask import Ask, Measurement
from splitc.plan.confidence import Z_95, fidelity_reason, fidelity_text
from splitc.plan.monotone import rising
from splitc.plan.point import Point, distance

USUAL_FIDELITY = 0.9
"""What answers should keep where the recipe has no limit."""
Found = Point | Measurement


def has_limit(ask: Ask) -> bool:
    """Whether the recipe says how good answers must be."""
    return ask.min_fidelity is not None or ask.max_divergence is not None


def answers_reason(found: Found, ask: Ask) -> str:
    """Why answers are surely not good enough for the recipe, or an empty text."""
    return fidelity_reason(found.fidelity, found.samples, ask.min_fidelity) or _divergence_reason(found, ask)


def keeps_answers(found: Found, ask: Ask) -> bool:
    """Whether answers keep the recipe's limits as they were measured, or the usual fidelity where it has none.

    What was not measured is not held against a way.
    """
    if found.divergence is not None and not math.isfinite(found.divergence):
        return False
    if ask.max_divergence is not None and (found.divergence is None or found.divergence > ask.max_divergence):
        return False
    least = ask.min_fidelity if has_limit(ask) else USUAL_FIDELITY
    known = (found.fidelity, found.expected_fidelity if isinstance(found, Point) else None)
    return least is None or all(one is None or one >= least for one in known)


def with_expected(points: Sequence[Point]) -> list[Point]:
    """The points with the fidelity that the divergence of each lets expect."""
    known = [index for index, point in enumerate(points) if None not in (point.fidelity, point.divergence)]
    known.sort(key=lambda index: (-distance(points[index]), points[index].fidelity or 0.0))
    expected = dict(zip(known, rising([points[index].fidelity or 0.0 for index in known]), strict=True))
    return [replace(point, expected_fidelity=expected.get(index)) for index, point in enumerate(points)]


def answers_text(point: Point, ask: Ask) -> str:
    """``fidelity 13 of 16 samples, KL divergence of the class probabilities, nats: 0.004``; empty if not measured."""
    words = [] if point.fidelity is None else [f"fidelity {fidelity_text(point.fidelity, point.samples)}"]
    if point.divergence is not None:
        words.append(f"{ask.divergence_unit or 'divergence'}: {point.divergence:.3g}")
    return ", ".join(words)


def _divergence_reason(found: Found, ask: Ask) -> str:
    """Few samples get the benefit of the doubt here too."""
    limit = ask.max_divergence
    if limit is None:
        return ""
    if found.divergence is None:
        return f"its divergence was not measured, the limit is {limit:.4g}"
    least = lower_bound(found.divergence, found.divergence_error)
    if least <= limit:
        return ""
    spread = "" if found.divergence_error is None else f", at least {least:.4g} (95 % confidence)"
    return f"its divergence is {found.divergence:.4g}{spread}, the limit is {limit:.4g}"


def lower_bound(divergence: float, error: float | None) -> float:
    """The least that a mean divergence may truly be: of the 95 % interval of its logarithm, by the delta method.

    A few samples make most of a mean divergence, so an interval around the mean itself would reach zero.
    """
    if not error or not math.isfinite(divergence) or divergence <= 0:
        return divergence
    return divergence * math.exp(-Z_95 * error / divergence)
