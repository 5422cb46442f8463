"""What few samples say about fidelity: whether a limit is out of reach or was missed by chance."""

from __future__ import annotations

import math

Z_95 = 1.959964
"""Standard deviations around the mean that hold 95 % of a normal distribution."""


def upper_bound(share: float, samples: int | None) -> float:
    """The most that a share may truly be: the upper end of Wilson's 95 % interval (JASA 22(158), 1927).

    Args:
        share: Found among the samples, 0 to 1.
        samples: How many; None: the number is no share of samples, and stands for itself.
    """
    if samples is None:
        return share
    square = Z_95**2 / samples
    spread = Z_95 * math.sqrt(max(share * (1 - share), 0.0) / samples + square / (4 * samples))
    return min((share + square / 2 + spread) / (1 + square), 1.0)


def fidelity_reason(fidelity: float | None, samples: int | None, least: float | None) -> str:
    """Why a fidelity is surely not enough, or an empty text; few samples get the benefit of the doubt."""
    if least is None or (fidelity is not None and upper_bound(fidelity, samples) >= least):
        return ""
    if fidelity is None:
        return f"its fidelity was not measured, min_fidelity asks for {least:.4f}"
    asked = f"min_fidelity asks for {least:.4f}"
    if samples is None:
        return f"its fidelity is {fidelity:.4f}, {asked}"
    most = upper_bound(fidelity, samples)
    return f"its fidelity is {fidelity_text(fidelity, samples)}, at most {most:.4f} (95 % confidence), {asked}"


def fidelity_text(fidelity: float, samples: int | None) -> str:
    """``0.8125`` or ``13 of 16 samples``."""
    return f"{fidelity:.4f}" if samples is None else f"{round(fidelity * samples)} of {samples} samples"
