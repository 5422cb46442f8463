"""Fidelity numbers: how close is the network's answer to the unsplit model's?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from splitc.errors import CapabilityError
from splitc.types import F32, F64, Array

SILVERMAN = 0.9
"""Width of a density's kernel, in standard deviations of the samples and by their number's fifth root."""
PLACES = np.array([NormalDist().inv_cdf((index + 0.5) / 64) for index in range(64)])
"""Points of the standard normal kernel that stand for it, all as likely."""


@dataclass(frozen=True)
class Agreement:
    """One stage against the full model, averaged over the samples.

    Attributes:
        fidelity: Share of samples whose top-1 answer is the full model's (Chen et al. 2019, eq. 2 as its table has it).
        kl: Mean KL(full || stage) of the softmaxed answers, nats.
        cosine: Mean cosine similarity of the raw answers.
        max_abs_diff: Largest absolute difference of the raw answers.
        top1: Share of samples answered as labelled; None without labels.
    """

    fidelity: float
    kl: float
    cosine: float
    max_abs_diff: float
    top1: float | None


@dataclass
class RunningAgreement:
    """Agreement of a path with the full model, accumulated sample by sample; holds sums and no answers.

    Sums are float64 in the order of the samples, so means differ from those of stacked answers by rounding alone: by
    ``n`` units in the last place at most, and by none where they count.
    """

    samples: int = 0
    labelled: int = 0
    _same: int = 0
    _right: int = 0
    _kl: float = 0.0
    _cosine: float = 0.0
    _max_abs_diff: float = 0.0

    def add(self, full: Array, stage: Array, label: int | None = None) -> None:
        """Count one sample.

        Args:
            full: The unsplit model's answer, ``[1, ...]`` or flat; the class axis is the last.
            stage: The same sample through another path.
            label: Class index, or None where it is unknown.

        Raises:
            CapabilityError: Answers of unequal sizes.
        """
        check_size(full, stage)
        reference, got = _rows([full]), _rows([stage])
        decided = int(got.argmax())
        self.samples += 1
        self._same += decided == int(reference.argmax())
        self._kl += float(kl_divergence(reference, got)[0])
        self._cosine += float(cosine(reference, got)[0])
        self._max_abs_diff = float(np.maximum(self._max_abs_diff, np.max(np.abs(reference - got))))  # NaN stays
        if label is not None:
            self.labelled += 1
            self._right += decided == label

    def agreement(self) -> Agreement:
        """The means so far; at least one sample was added."""
        return Agreement(
            fidelity=self._same / self.samples,
            kl=self._kl / self.samples,
            cosine=self._cosine / self.samples,
            max_abs_diff=self._max_abs_diff,
            top1=self._right / self.labelled if self.labelled else None,
        )


def compare(full: Sequence[F32], stage: Sequence[F32], labels: Sequence[int | None]) -> Agreement:
    """Compare answers that are at hand, one ``[1, ...]`` array a sample; the class axis is the last.

    Args:
        full: The unsplit model's answers, at least one.
        stage: The same samples through another path.
        labels: Class index a sample, or None where it is unknown.

    Raises:
        CapabilityError: Answers of unequal sizes.
    """
    for answers in (full, stage):
        check_size(full[0], *answers)
    running = RunningAgreement()
    for reference, got, label in zip(full, stage, labels, strict=True):
        running.add(reference, got, label)
    return running.agreement()


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


def kl_divergence(reference: F64, got: F64) -> F64:
    """KL(softmax(reference) || softmax(got)) of each row, nats; never negative."""
    log_p, log_q = log_softmax(reference), log_softmax(got)
    divergence: F64 = np.maximum((np.exp(log_p) * (log_p - log_q)).sum(1), 0.0)
    return divergence


def cosine(reference: F64, got: F64) -> F64:
    """Cosine similarity of each row; 1 where both are zero."""
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(got, axis=1)
    dots = (reference * got).sum(1)
    both_zero = ~reference.any(1) & ~got.any(1)
    similarity: F64 = np.where(both_zero, 1.0, dots / np.maximum(norms, np.finfo(np.float64).tiny))
    return similarity


def log_softmax(logits: Array) -> F64:
    """Row-wise, float64."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: F64 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


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
