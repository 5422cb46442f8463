"""Random directions in which answers feel a change: their outer product is, in the mean, the divergence's Hessian.

A small change ``d`` of the outputs moves the divergence by half of ``d^T H d``. With random signs ``e`` and any root
``H = R R^T`` the direction ``R e`` has ``E[(R e)(R e)^T] = H``, so a network pulled by it, backwards, tells how much
each of its values is felt: by half of the mean square of its gradient, for each unit of noise energy.
"""

from __future__ import annotations

import numpy as np

from splitc.types import F32, F64, Array

LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1 where their reciprocals are needed: float32 tells no less."""


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> F64:
    """Random signs."""
    return rng.choice(np.array([-1.0, 1.0]), shape)


def of_classes(p: F64, rng: np.random.Generator, *, are_logits: bool) -> F64:
    """Of KL of classes along the last axis.

    Args:
        p: Probabilities, float64 ``[..., C]``.
        rng: Draws signs.
        are_logits: The outputs are; else they are the probabilities.
    """
    e = signs(rng, p.shape)
    root = np.sqrt(p)
    if are_logits:
        return np.asarray(root * e - p * (root * e).sum(-1, keepdims=True))
    return np.asarray(e / np.sqrt(np.maximum(p, LEAST)) - (root * e).sum(-1, keepdims=True))


def of_labels(p: F64, rng: np.random.Generator, *, are_logits: bool) -> F64:
    """Of KL of scores that are yes or no each; arguments as :func:`of_classes`."""
    kept = np.clip(p, LEAST, 1 - LEAST)
    deviation = np.sqrt(kept * (1 - kept))
    return np.asarray(signs(rng, p.shape) * (deviation if are_logits else 1 / deviation))


def of_values(reference: Array, rng: np.random.Generator) -> F64:
    """Of the squared difference by the squared values."""
    values = np.asarray(reference, np.float64)
    energy = float(np.square(values).sum())
    return signs(rng, values.shape) * (np.sqrt(2 / energy) if energy else 0.0)


def of_direction(reference: Array, rng: np.random.Generator) -> F64:
    """Of one less the cosine."""
    values = np.asarray(reference, np.float64)
    length = float(np.linalg.norm(values))
    if length == 0:
        return np.zeros(values.shape)
    unit, e = values / length, signs(rng, values.shape)
    return np.asarray((e - unit * float((unit * e).sum())) / length)


def as_output(pull: F64, output: Array) -> F32:
    """A pull with the shape of the output that it is of."""
    return np.array(pull.reshape(output.shape), np.float32, order="C")  # ascontiguousarray gives scalars an axis
