"""How much the answers feel noise in each plane, and the steps that make the most of it.

Rounding a plane to a step of D adds noise of D * D / 12 a value, and the answers move in proportion: by ``w`` for each
unit of it, the plane's weight. Of all steps that move the answers alike those cost the fewest bits whose ``w * D * D``
is the same everywhere (reverse water filling in the metric of the answers).

Weights are half of the mean square of gradients, where the judge has them: one run of the tail, there and back, tells
of all planes. Else they are measured by probes: noise in one plane at a time, the tail run on some calibration samples.
A probe's answer is a draw itself, so such weights are believed as far as two halves of the samples agree about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from splitc.codec.calibration import Calibration
from splitc.codec.fitted import NO_TRANSFORM
from splitc.codec.quantizers.base import rows_of
from splitc.codec.quantizers.step import Step
from splitc.codec.transforms import Basis, Transform
from splitc.codec.transforms.base import NO_BASIS, changed_by_plane
from splitc.types import F32, F64

PROBE_RUNS = 1024
"""Runs of the tail that probing one tensor takes, where it has not so many planes that each needs more."""
PROBE_SAMPLES = (4, 24)
"""Least and most samples that a plane is probed on."""
FLOOR = 0.03
"""Share of the mean weight that every plane has at least: a plane that probes did not feel may matter elsewhere."""
LEAST = 0.01
"""Share of the mean weight below which a measured one is as good as nothing."""
SEED = 11


@dataclass(frozen=True)
class WeighedPlanes:
    """One cut tensor as planes, and what they weigh.

    Attributes:
        transform: Its options.
        basis: What it learned.
        channel_weights: Of the channels, ``[C]``.
        weights: Of the planes behind the transform, ``[K]``.
        channel_rows: Calibration values by channel, float32 ``[C, values]``.
        rows: The same by plane, float32 ``[K, values]``.
    """

    transform: Transform
    basis: Basis
    channel_weights: F64
    weights: F64
    channel_rows: F32
    rows: F32


def planes_of(
    transform: Transform, quantizer: Step, subject: Calibration, channels: Sequence[WeighedPlanes] = ()
) -> list[WeighedPlanes]:
    """Every cut tensor as planes; weights are 1 a unit of noise in the feature where steps are even.

    Args:
        transform: Its options.
        quantizer: Whether weights are measured, and at which step.
        subject: The samples and the judge.
        channels: The same without a transform, where that is known already.

    Raises:
        CodecError: Steps go by sensitivity, and there is nobody to judge.
    """
    known = channels or [_channels(quantizer, subject, index) for index in range(len(subject.tensors))]
    if transform.is_identity:
        return list(known)
    return [_behind(transform, quantizer, subject, index, one) for index, one in enumerate(known)]


def _channels(quantizer: Step, subject: Calibration, index: int) -> WeighedPlanes:
    """Planes that are the channels themselves."""
    rows = rows_of(subject.wires(index), by_channel=True)
    if quantizer.steps != "sensitivity":
        weights = np.ones(len(rows))
    elif subject.gradients:
        weights = _energies(rows_of(subject.gradients[index], by_channel=True))
    else:
        weights = _Probe(subject, index, NO_TRANSFORM, NO_BASIS, _mean_step(quantizer, rows)).weights(len(rows))
    return WeighedPlanes(NO_TRANSFORM, NO_BASIS, weights, weights, rows, rows)


def _energies(gradients: F32) -> F64:
    """Divergence for each unit of noise energy in a plane, ``[K]``, above 0.

    Args:
        gradients: By plane, float32 ``[K, values]``.
    """
    found = np.square(gradients, dtype=np.float64).mean(1) / 2
    return found if found.any() else np.ones(len(found))


def _metric(gradients: Sequence[F32]) -> F64:
    """Divergence for noise in several channels at once, float64 ``[C, C]``; its diagonal is :func:`_energies`."""
    rows = rows_of(gradients, by_channel=True).astype(np.float64)
    return np.asarray(rows @ rows.T / (2 * rows.shape[1]))


def _behind(
    transform: Transform, quantizer: Step, subject: Calibration, index: int, channels: WeighedPlanes
) -> WeighedPlanes:
    """Planes behind a transform."""
    gradients = subject.gradients[index] if quantizer.steps == "sensitivity" and subject.gradients else ()
    has_metric = transform.mixes_channels and any(one.any() for one in gradients)
    basis = transform.fit(subject.wires(index), _metric(gradients) if has_metric else channels.weights)
    rows = _rows(transform, basis, subject, index)
    if gradients:
        weights = _energies(rows_of([transform.pulled(one, basis) for one in gradients], by_channel=True))
    else:
        probe = _Probe(subject, index, transform, basis, _mean_step(quantizer, channels.rows))
        weights = probe.weights(len(rows)) if quantizer.steps == "sensitivity" else probe.energies(len(rows))
    return WeighedPlanes(transform, basis, channels.weights, weights, channels.rows, rows)


def on_samples(planes: Sequence[WeighedPlanes], subject: Calibration) -> list[WeighedPlanes]:
    """The same bases and weights with the values of other samples."""
    found = []
    for index, one in enumerate(planes):
        channels = rows_of(subject.wires(index), by_channel=True)
        rows = channels if one.transform.is_identity else _rows(one.transform, one.basis, subject, index)
        found.append(replace(one, channel_rows=channels, rows=rows))
    return found


def _rows(transform: Transform, basis: Basis, subject: Calibration, index: int) -> F32:
    """Values by plane, ``[K, values]``."""
    return rows_of([transform.forward(wire, basis) for wire in subject.wires(index)], by_channel=True)


def _mean_step(quantizer: Step, rows: F32) -> float:
    """Of even steps, in the mean of their squares."""
    return float(np.sqrt(np.square(quantizer.even_steps(rows)).mean()))


def steps_of(quantizer: Step, planes: Sequence[WeighedPlanes]) -> list[F64]:
    """The step of every plane of every tensor: as even steps move the answers, for fewer bits.

    Where weights were measured tensors share one price; even steps stay each tensor's own.
    """
    if quantizer.steps != "sensitivity":
        return [_shared(quantizer, [one])[0] for one in planes]
    return _shared(quantizer, planes)


def _shared(quantizer: Step, planes: Sequence[WeighedPlanes]) -> list[F64]:
    even = [quantizer.even_steps(one.channel_rows) for one in planes]
    noise = sum(
        float((one.channel_weights * np.square(step)).mean()) * one.channel_rows.size
        for one, step in zip(planes, even, strict=True)
    )
    floored = [one.weights + FLOOR * one.weights.mean() for one in planes]
    pairs = list(zip(planes, floored, strict=True))
    # at price p a plane of weight w and floored weight f moves the answers by p * w / f a value
    price = noise / sum(float((one.weights / floor).mean()) * one.rows.size for one, floor in pairs)
    return [np.maximum(np.sqrt(price / floor), _least(quantizer, one)) for one, floor in pairs]


def _least(quantizer: Step, planes: WeighedPlanes) -> F64:
    return quantizer.least_steps(planes.rows, holds_zero=planes.transform.is_identity)


class _Probe:
    """Noise in the planes of one tensor.

    Args:
        subject: The samples and the judge.
        index: The tensor.
        transform: What makes the planes.
        basis: What it learned.
        step: The noise's size in the feature: it moves values by half of this.
    """

    def __init__(self, subject: Calibration, index: int, transform: Transform, basis: Basis, step: float) -> None:
        self._subject, self._index, self._step = subject, index, step
        self._transform, self._basis = transform, basis

    def energies(self, planes: int) -> F64:
        """Noise energy in the feature for each unit of it in a plane, ``[K]``."""
        if self._basis.is_empty:
            return np.ones(planes)
        columns = np.square(self._basis.synthesis, dtype=np.float64).sum(0)
        return np.repeat(columns, planes // len(columns))

    def weights(self, planes: int) -> F64:
        """Divergence for each unit of noise energy in a plane, ``[K]``, above 0; a value's share of it."""
        least, most = PROBE_SAMPLES
        count = min(self._subject.count, max(least, min(most, PROBE_RUNS // planes)))
        samples = np.linspace(0, self._subject.count - 1, count).astype(int).tolist()
        sizes = self._step / 2 / np.sqrt(self.energies(planes))
        felt = np.stack([self._felt(plane, float(size), samples) for plane, size in enumerate(sizes)])
        return believed(felt, self._planes_per_channel)

    @property
    def _planes_per_channel(self) -> int:
        layout, spec = self._subject.layouts[self._index], self._subject.tensors[self._index]
        return self._transform.planes_per_channel(layout.wire_shape(spec.shape))

    def _felt(self, plane: int, size: float, samples: Sequence[int]) -> F64:
        """By each sample, for each unit of noise energy."""
        rng = np.random.default_rng((SEED, plane))
        rows, values = [], []
        for sample in samples:
            row = self._subject.row(sample)
            noise, count = self._noise(row[self._index], plane, size, rng)
            row[self._index] = row[self._index] + noise
            rows.append(row)
            values.append(count)
        return self._subject.divergences(rows, samples) / (size**2 * np.array(values))

    def _noise(self, x: F32, plane: int, size: float, rng: np.random.Generator) -> tuple[F32, int]:
        """Signs of ``size`` in one plane as a change of the feature, and how many values the plane has."""
        layout = self._subject.layouts[self._index]
        wire = tuple(map(int, layout.wire_shape(x.shape)))
        planes = tuple(map(int, self._transform.wire_shape(wire)))
        shape = (planes[0], *planes[2:])
        change = np.float32(size) * rng.choice(np.array([-1, 1], np.float32), shape)
        if len(wire) < 2:
            return layout.from_wire(change, x.ndim), change.size
        changed = changed_by_plane(self._transform, self._basis, wire, plane, change)
        return layout.from_wire(changed, x.ndim), change.size


def believed(felt: F64, planes_per_channel: int) -> F64:
    """Weights of planes from what samples felt.

    Samples count alike, however much each feels on the whole. In logarithms a weight is its channel's, its frequency's
    and a rest; channels and rests are shrunk to their mean by the share of them that two halves of the samples have in
    common.

    Args:
        felt: By plane and sample, float64 ``[K, samples]``; what is not finite counts as the most that is.
        planes_per_channel: F; plane ``F * c + f`` is frequency f of channel c.

    Returns:
        float64 ``[K]``, above 0, with the mean of ``felt``.
    """
    known = np.where(np.isfinite(felt), felt, felt[np.isfinite(felt)].max(initial=0.0))
    everywhere = known.mean(0)
    if not everywhere.any():
        return np.ones(len(felt))
    alike = known[:, everywhere > 0] / everywhere[everywhere > 0]
    halves = [alike[:, start::2] if alike.shape[1] > 1 else alike for start in (0, 1)]
    logs = [np.log(np.maximum(half.mean(1), LEAST)).reshape(-1, planes_per_channel) for half in halves]
    channels = [each.mean(1, keepdims=True) for each in logs]
    frequencies = [each.mean(0, keepdims=True) - each.mean() for each in logs]
    rests = [each - channel - frequency for each, channel, frequency in zip(logs, channels, frequencies, strict=True)]
    found = np.exp(_common(*channels) + (frequencies[0] + frequencies[1]) / 2 + _common(*rests)).ravel()
    return np.asarray(found * (known.mean() / found.mean()))


def _common(one: F64, two: F64) -> F64:
    """The mean of two measurements of the same values, shrunk to its own mean as far as they disagree."""
    mean, spread = (one + two) / 2, float(one.std() * two.std())
    if spread == 0:
        return mean
    agreement = max(0.0, float(((one - one.mean()) * (two - two.mean())).mean()) / spread)
    share = 2 * agreement / (1 + agreement)  # Spearman and Brown: of the mean of both
    return np.asarray(mean.mean() + share * (mean - mean.mean()))
