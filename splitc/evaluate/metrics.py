"""What answers must be to be compared, and how often decisions may be expected to stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from splitc.errors import CapabilityError
from splitc.types import F64, Array

SILVERMAN = 0.9
"""Width of a density's kernel, in standard deviations of the samples and by their number's fifth root."""
PLACES = np.array([NormalDist().inv_cdf((index + 0.5) / 64) for index in range(64)])
"""Points of the standard normal kernel that stand for it, all as likely."""


def expected_agreement(full: Sequence[Array], stage: Sequence[Array], more: Sequence[Array] = ()) -> float:
    """Share of samples whose top-1 answer may be expected to stay, from how far answers moved.

    Every sample's lead of the first answer over the second moves by some amount; taken as normal noise of the spread
    that it has over all samples, it overturns a lead with a probability. Leads are taken from a density of those seen,
    reflected at zero: whether one of few samples happens to be a tie says little. The mean of the probabilities is far
    less a matter of luck than the number of answers that were overturned.

    Args:
        full: The unsplit model's answers, one ``[1, n]`` array a sample.
        stage: The same samples through another path.
        more: The unsplit model's answers to other samples, which have leads too.
    """
    reference, got = _rows(full), _rows(stage)
    if reference.shape[1] < 2:
        return 1.0
    order, rows = np.argsort(reference, axis=1), np.arange(len(reference))
    first, second = order[:, -1], order[:, -2]
    leads = reference[rows, first] - reference[rows, second]
    moves = got[rows, first] - got[rows, second] - leads
    spread = max(float(np.sqrt(np.mean(np.square(moves)))), 1e-30)
    if more:
        ordered = np.sort(_rows(more), axis=1)
        leads = np.concatenate([leads, ordered[:, -1] - ordered[:, -2]])
    width = SILVERMAN * float(leads.std()) * len(leads) ** -0.2
    smooth = np.abs(leads[:, None] + width * PLACES)
    noise = NormalDist(0, spread)
    return float(1 - np.mean([noise.cdf(-lead) for lead in smooth.ravel()]))


def check_size(first: Array, *others: Array) -> None:
    """Raises: CapabilityError: an answer has another number of elements than the first."""
    for other in others:
        if other.size != first.size:
            raise CapabilityError(
                f"the network's answers have {first.size} and {other.size} elements; answers whose size depends on the "
                "input cannot be compared in this version of splitc."
            )


def all_finite(outputs: Mapping[str, Array], names: Sequence[str]) -> bool:
    """Whether these outputs hold no NaN and no infinity."""
    return all(bool(np.isfinite(np.asarray(outputs[name]).astype(np.float64)).all()) for name in names)


def _rows(answers: Sequence[Array]) -> F64:
    return np.stack([np.asarray(answer, dtype=np.float64).ravel() for answer in answers])
