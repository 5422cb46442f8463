"""What the mixing coder expects of every channel: centre, scale, references and weights (FORMAT.md, "Expectation").

Channels are looked at in groups of consecutive ones, so that memory does not grow with their square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.codec.entropy.mix_tables import (
    MAX_WEIGHT,
    MAX_WEIGHTS,
    OWN_WEIGHTS,
    REFERENCE_WEIGHTS,
    WEIGHT_ONE,
    MixChannel,
)
from splitc.types import F32, Symbols

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_OWN = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
_REFERENCE = ((0, 0), (0, -1), (-1, 0), (0, 1), (1, 0))
"""(rows, columns) from a position to the neighbours that are weighted."""
_GROUP = 1024  # channels
_FLOOR_SHARE = 0.1  # of symbols that are the least one: above it that is where values are counted from
_MOST_VALUE = 2047
_MOST_SCALE = 65535
_MOST_FITTED = 1 << 14  # positions of a channel that all this is fitted on
_BLOCK = 1 << 22  # numbers at a time
_LEAST_GAIN = 1e-3  # of a channel's energy that a reference must explain
_WEIGHT_PRICE = 10.0  # and as much again in positions: what five weights learn by chance, twice
_RIDGE = 1e-3  # of a weight, in mean squares of what it weighs
_LITTLE = 1e-6
_NO_PLANE = -1  # behind a channel's references


@dataclass(frozen=True)
class _Group:
    """Values of consecutive channels, float32 ``[G, H, W]`` a sample, and of the frame before each.

    Attributes:
        first: Index of the first channel.
        values: Symbols less the centre, or residual symbols with their sign, limited as the coder limits them.
        previous: Likewise; empty where there are no frames before.
    """

    first: int
    values: list[F32]
    previous: list[F32]

    @property
    def positions(self) -> int:
        return sum(sample[0].size for sample in self.values)


def channels_of(samples: Sequence[Symbols], previous: Sequence[Symbols] | None, references: int) -> list[MixChannel]:
    """Of every channel of ``[C, H, W]`` samples; see :func:`splitc.codec.entropy.mix_training.train`."""
    wanted = max(1, _MOST_FITTED // samples[0][0].size)
    stride = -(-len(samples) // wanted)
    some = samples[::stride]
    before = [] if previous is None else previous[::stride]
    return [
        channel
        for first in range(0, len(samples[0]), _GROUP)
        for channel in _group_channels(first, [x[first : first + _GROUP] for x in some], before, references)
    ]


def _group_channels(
    first: int, samples: Sequence[Symbols], previous: Sequence[Symbols], references: int
) -> Iterator[MixChannel]:
    if previous:
        centres = np.zeros(len(samples[0]), np.int64)
        values = [_signed(x) for x in samples]
        group = _Group(first, values, [_signed(x[first : first + _GROUP]) for x in previous])
    else:
        centres = _centres(samples)
        group = _Group(first, [_limited(x.astype(np.int32) - centres[:, None, None]) for x in samples], [])
    chosen, counts = _references(group, references)
    weights = _weights(group, chosen[:, : counts.max(initial=0)])
    scales = np.minimum(np.rint(4 * _mean_magnitude(group)), _MOST_SCALE)
    for c, count in enumerate(counts):
        its = tuple(int(r) % len(centres) + first for r in chosen[c, :count])
        weighed = OWN_WEIGHTS + REFERENCE_WEIGHTS * int(count)
        yield MixChannel(int(centres[c]), int(scales[c]), its, tuple(map(int, weights[c, :weighed])))


# -- values --------------------------------------------------------------------------------------------------------


def _centres(samples: Sequence[Symbols]) -> I64:
    """Median symbol of every channel, or its least one where many are that."""
    every = np.concatenate([x.reshape(len(x), -1) for x in samples], axis=1)
    least = every.min(axis=1)
    share = (every == least[:, None]).mean(axis=1)
    middle = every.shape[1] // 2
    median = np.partition(every, middle, axis=1)[:, middle]
    return np.where(share > _FLOOR_SHARE, least, median).astype(np.int64)


def _signed(residual: Symbols) -> F32:
    """Values of residual symbols, which alternate in sign."""
    s = residual.astype(np.int32)
    return _limited(np.where(s % 2 == 1, (s + 1) // 2, -(s // 2)))


def _limited(values: npt.NDArray[np.signedinteger]) -> F32:
    return np.asarray(np.clip(values, -_MOST_VALUE, _MOST_VALUE), np.float32)


def _mean_magnitude(group: _Group) -> F64:
    sums = [np.abs(x).sum(axis=(1, 2), dtype=np.float64) for x in group.values]
    return np.asarray(np.sum(sums, axis=0) / group.positions)


# -- references ----------------------------------------------------------------------------------------------------


def _references(group: _Group, most: int) -> tuple[I64, I64]:
    """References ``[G, most]`` of every channel, and how many.

    Its previous plane, where there is one, as G plus the channel; then channels before it in the group; then
    ``_NO_PLANE``. What a plane adds is judged by its innovations: values less the mean of W and N.
    """
    innovations = np.concatenate([_innovation(x) for x in group.values], axis=1)
    gram = (innovations @ innovations.T).astype(np.float64)
    kept = min(most, 1 if group.previous else 0)
    chosen, counts = _greedy(gram, most - kept, _LEAST_GAIN + _WEIGHT_PRICE / group.positions)
    itself = np.arange(len(gram))[:, None] + len(gram)
    return np.concatenate([np.repeat(itself, kept, axis=1), chosen], axis=1), counts + kept


def _greedy(gram: F64, most: int, least_gain: float) -> tuple[I64, I64]:
    """Of every row, earlier ones in the order in which each explains most of what those before leave; how many."""
    size = len(gram)
    energy = np.maximum(np.diag(gram), _LITTLE)
    chosen, counts = np.full((size, most), _NO_PLANE), np.zeros(size, np.int64)
    allowed = np.tri(size, k=-1, dtype=bool)
    left, active = gram.copy(), np.arange(size)
    for step in range(most):
        gain = np.where(allowed[active], left**2 / energy, 0)
        best = gain.argmax(axis=1)
        does_pay = gain[np.arange(len(active)), best] > least_gain * energy[active]
        active, best = active[does_pay], best[does_pay]
        if not active.size:
            break
        chosen[active, step], allowed[active, best] = best, False
        counts[active] = step + 1
        left = _unexplained(gram, active, chosen[active, : step + 1])
    return chosen, counts


def _unexplained(gram: F64, rows: I64, chosen: I64) -> F64:
    """Products of ``rows`` with all, less what least squares on ``chosen`` explain."""
    inner = gram[chosen[:, :, None], chosen[:, None, :]]
    trace = inner.trace(axis1=1, axis2=2)
    inner += (_LITTLE * (1 + trace))[:, None, None] * np.eye(chosen.shape[1])
    shares = np.linalg.solve(inner, gram[rows[:, None], chosen][:, :, None])[:, :, 0]
    left: F64 = gram[rows].copy()
    for k in range(chosen.shape[1]):
        left -= shares[:, k, None] * gram[chosen[:, k]]
    return left


def _innovation(values: F32) -> F32:
    """``[G, positions]``."""
    west, north = _moved(values, 0, -1), _moved(values, -1, 0)
    return np.asarray(values - (west + north) / 2, np.float32).reshape(len(values), -1)


def _moved(values: F32, rows: int, columns: int) -> F32:
    """The neighbour so far from every position, zero beyond the border."""
    height, width = values.shape[1:]
    padded = np.pad(values, ((0, 0), (2, 2), (2, 2)))
    return padded[:, 2 + rows : 2 + rows + height, 2 + columns : 2 + columns + width]


# -- weights -------------------------------------------------------------------------------------------------------


def _weights(group: _Group, chosen: I64) -> I64:
    """Least squares for every channel's values, in 1/1024: ``[G, own and references']``."""
    size = OWN_WEIGHTS + REFERENCE_WEIGHTS * chosen.shape[1]
    gram, target = np.zeros((len(chosen), size, size)), np.zeros((len(chosen), size))
    for index, values in enumerate(group.values):
        own = _around(values, _OWN)
        planes = (values, *group.previous[index : index + 1], np.zeros_like(values[:1]))
        seen = np.concatenate([_around(x, _REFERENCE) for x in planes])
        step = max(1, _BLOCK // (size * values[0].size))
        for c in range(0, len(chosen), step):
            some = slice(c, c + step)
            others = seen[chosen[some]].reshape(len(chosen[some]), -1, own.shape[2])
            inputs = np.concatenate([own[some], others], axis=1)
            gram[some] += inputs @ inputs.transpose(0, 2, 1)
            target[some] += (inputs @ values[some].reshape(len(inputs), -1, 1))[:, :, 0]
    trace = gram.trace(axis1=1, axis2=2)
    gram += (_RIDGE * trace / size + _LITTLE)[:, None, None] * np.eye(size)
    solved = np.linalg.solve(gram, target[:, :, None])[:, :, 0]
    whole = np.clip(np.rint(solved * WEIGHT_ONE), -MAX_WEIGHT, MAX_WEIGHT)
    excess = np.abs(whole).sum(axis=1, keepdims=True) / MAX_WEIGHTS
    return np.asarray(np.trunc(whole / np.maximum(excess, 1)), np.int64)


def _around(values: F32, offsets: Sequence[tuple[int, int]]) -> F32:
    """Neighbours of every position, ``[G, offsets, positions]``."""
    return np.stack([_moved(values, *offset).reshape(len(values), -1) for offset in offsets], axis=1)
