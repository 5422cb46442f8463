"""Smooth distances of answers: never negative, and zero only where answers are the same. Pure functions."""

from __future__ import annotations

import numpy as np

from splitc.types import F64, Array

LEAST = 1e-12
"""Least probability inside a logarithm where it was rounded to zero."""
LEAST_SCORE = 1e-7
"""The same of box scores, as ``LEAST`` would make a score that float32 rounded to zero the whole distance."""


def log_softmax(logits: Array, axis: int = -1) -> F64:
    """In float64; of log-probabilities, themselves."""
    x = np.asarray(logits, np.float64)
    shifted = x - x.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def sigmoid(x: Array) -> F64:
    """``1 / (1 + exp(-x))`` in float64, without overflow."""
    wide = np.asarray(x, np.float64)
    small = np.exp(-np.abs(wide))
    return np.asarray(np.where(wide >= 0, 1.0, small) / (1 + small))


def log_of(probabilities: Array, axis: int = -1) -> F64:
    """Logarithms of probabilities, rows made to sum to 1 and none below ``LEAST``."""
    p = np.clip(np.asarray(probabilities, np.float64), LEAST, None)
    return np.asarray(np.log(p / p.sum(axis=axis, keepdims=True)))


def kl(log_p: F64, log_q: F64, axis: int = -1) -> F64:
    """KL(p || q) along an axis, nats; never negative."""
    return np.asarray(np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=axis), 0.0))


def bernoulli_kl(p: Array, q: Array, least: float = LEAST) -> F64:
    """KL of yes-or-no probabilities, one by one, nats; never negative.

    Args:
        p: Of the reference, 0 to 1.
        q: Of the other, of the same shape.
        least: Both are kept this far from 0 and 1.
    """
    a, b = (np.clip(np.asarray(one, np.float64), least, 1 - least) for one in (p, q))
    found = np.zeros(np.broadcast(a, b).shape)
    differ = np.asarray(a != b)
    a, b = a[differ], b[differ]
    found[differ] = np.maximum(a * np.log(a / b) + (1 - a) * np.log((1 - a) / (1 - b)), 0.0)
    return found


def relative_squared_error(reference: Array, other: Array) -> float:
    """Squared distance by the mean of both squared lengths: 0 to 4, 0 where both are zero."""
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    largest = max(float(np.max(np.abs(a), initial=0.0)), float(np.max(np.abs(b), initial=0.0)))
    if largest == 0:
        return 0.0
    a, b = a / largest, b / largest
    return float(np.square(a - b).sum() / ((np.square(a).sum() + np.square(b).sum()) / 2))


def cosine(reference: Array, other: Array) -> float:
    """Cosine similarity of two arrays; 1 where both are zero, 0 where one is."""
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    a, b = a / np.max(np.abs(a)), b / np.max(np.abs(b))
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))
