"""Learn the rANS coder's static tables from calibration symbols (FORMAT.md, "rANS tables").

    samples ──► channel classes ──► contexts of W + N ──► frequencies of 4096
                (k-means in code     (optimal monotone      (counts, shrunk towards
                 length)              partition)             the class's own average)

Deterministic: no random starts. Code lengths are in bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from splitc.codec.entropy.rans_tables import MAX_CLASSES, MAX_CONTEXTS, PROBABILITY_ONE, RansTables
from splitc.types import Symbols

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_CLUSTER_BITS = 5  # channels are compared on symbols and neighbour sums of this many bits
_SYMBOLS_PER_PARAMETER = 12  # calibration symbols wanted for every frequency to learn
_PRIOR_STRENGTH = 12.0  # how many symbols the class's average is worth in each of its tables


def train(samples: Sequence[Symbols], bits: int) -> RansTables:
    """Tables for ``bits``-bit symbols from samples ``[C, H, W]``, all of one C."""
    size = sum(sample.size for sample in samples)
    budget = max(1, size // (_SYMBOLS_PER_PARAMETER << bits))
    classes = _classes(samples, bits, limit=min(MAX_CLASSES, max(1, budget // 4)))
    counts = _class_counts(samples, bits, classes)
    class_count = counts.shape[0]
    thresholds = _partition(counts[:, :-1], limit=min(MAX_CONTEXTS, max(1, budget // class_count)))
    return RansTables(bits, classes, thresholds, _frequencies(counts, thresholds))


# -- counting ------------------------------------------------------------------------------------------------------


def neighbour_sum(symbols: Symbols) -> npt.NDArray[np.int32]:
    """W + N of every position of ``[planes, H, W]``; -1 at each plane's first position, which has neither."""
    s = symbols.astype(np.int32)
    west, north = np.zeros_like(s), np.zeros_like(s)
    west[:, :, 1:] = s[:, :, :-1]
    north[:, 1:] = s[:, :-1]
    west[:, 1:, 0] = north[:, 1:, 0]
    north[:, 0] = west[:, 0]
    total = west + north
    total[:, 0, 0] = -1
    return total


def _class_counts(samples: Sequence[Symbols], bits: int, classes: npt.NDArray[np.uint8]) -> F64:
    """Counts ``[class, W + N, symbol]``; the last W + N is "no neighbour"."""
    sums, symbols = 2 * ((1 << bits) - 1) + 1, 1 << bits
    shape = (int(classes.max()) + 1, sums + 1, symbols)
    counts = np.zeros(shape, np.int64)
    for sample in samples:
        context = neighbour_sum(sample)
        context[context < 0] = sums
        cell = (classes.astype(np.int64)[:, None, None] * (sums + 1) + context) * symbols + sample
        counts += np.bincount(cell.ravel(), minlength=counts.size).reshape(shape)
    return counts.astype(np.float64)


# -- channel classes -----------------------------------------------------------------------------------------------


def _classes(samples: Sequence[Symbols], bits: int, limit: int) -> npt.NDArray[np.uint8]:
    """Class of every channel: channels that one set of tables codes well share a class."""
    channels = samples[0].shape[0]
    limit = min(limit, channels)
    if limit == 1:
        return np.zeros(channels, np.uint8)
    counts = _channel_counts(samples, bits)
    marginal = counts.sum(axis=1)
    total = np.maximum(marginal.sum(axis=1), 1)
    mean = marginal @ np.arange(marginal.shape[1]) / total
    spread = _code_length(marginal) / total
    tries = [_cluster(counts, _by_rank(key, limit)) for key in (mean, spread)]
    _, best = min(tries, key=lambda cost_and_classes: cost_and_classes[0])
    _, dense = np.unique(best, return_inverse=True)
    return dense.astype(np.uint8)


def _channel_counts(samples: Sequence[Symbols], bits: int) -> F64:
    """Counts ``[channel, coarse W + N, coarse symbol]``."""
    shift = max(0, bits - _CLUSTER_BITS)
    symbols = 1 << (bits - shift)
    channels = samples[0].shape[0]
    contexts = min(symbols, 8)
    counts = np.zeros((channels, contexts + 1, symbols), np.int64)
    channel = np.arange(channels, dtype=np.int64)[:, None, None]
    for sample in samples:
        total = neighbour_sum(sample)
        context = np.where(total < 0, contexts, total * contexts // (2 << bits))
        cell = (channel * (contexts + 1) + context) * symbols + (sample >> shift)
        counts += np.bincount(cell.ravel(), minlength=counts.size).reshape(counts.shape)
    return counts.astype(np.float64)


def _by_rank(key: F64, classes: int) -> I64:
    rank = np.argsort(np.argsort(key, kind="stable"), kind="stable")
    return np.asarray(rank * classes // len(key))


def _cluster(counts: F64, classes: I64, rounds: int = 15) -> tuple[float, I64]:
    """K-means where the distance is the code length of a channel under a class's tables."""
    flat = counts.reshape(len(counts), -1)
    cost = np.inf
    for _ in range(rounds):
        lengths = flat @ _class_code(counts, classes).T
        nearest = lengths.argmin(axis=1)
        improved = float(lengths.min(axis=1).sum())
        if improved >= cost * (1 - 1e-6):
            break
        cost, classes = improved, nearest
    return cost, classes


def _class_code(counts: F64, classes: I64) -> F64:
    """Bits of every (context, symbol) under each class, ``[class, context * symbol]``."""
    merged = np.stack([counts[classes == k].sum(axis=0) for k in range(int(classes.max()) + 1)])
    return -np.log2(_shrunk(merged)).reshape(len(merged), -1)


# -- contexts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bins:
    """Consecutive values of W + N merged so that the search stays small."""

    starts: I64
    counts: F64  # [class, bin, coarse symbol]


def _bins(counts: F64, most: int = 96, most_symbols: int = 64) -> _Bins:
    mass = counts.sum(axis=(0, 2))
    cumulative = np.cumsum(mass) - mass
    fraction = cumulative / max(1.0, float(mass.sum()))
    label = np.floor(fraction * most) if len(mass) > most else np.arange(len(mass))
    starts = np.flatnonzero(np.diff(label, prepend=-1) > 0)
    merged = np.add.reduceat(counts, starts, axis=1)
    step = max(1, counts.shape[2] // most_symbols)
    return _Bins(starts, merged.reshape(*merged.shape[:2], -1, step).sum(axis=3))


def _partition(counts: F64, limit: int) -> tuple[int, ...]:
    """Thresholds of the monotone partition of W + N with the least code length (dynamic programming).

    Args:
        counts: ``[class, W + N, symbol]``.
        limit: Most contexts.
    """
    bins = _bins(counts)
    n = len(bins.starts)
    cost = _interval_costs(bins.counts)
    best = [cost[0]]  # best[k][j]: bins [0, j) in k + 1 contexts
    choice: list[I64] = []
    for _ in range(1, min(limit, n)):
        options = best[-1][:, None] + cost  # [last start i, end j]
        choice.append(options.argmin(axis=0))
        best.append(options.min(axis=0))
    contexts = int(np.argmin([row[n] for row in best]))
    end, ends = n, []
    for row in reversed(choice[:contexts]):
        end = int(row[end])
        ends.append(end)
    return tuple(int(bins.starts[e]) for e in reversed(ends))


def _interval_costs(counts: F64) -> F64:
    """Code length of bins ``[i, j)`` as one context, plus half a bit for every frequency to learn; inf if empty."""
    n = counts.shape[1]
    cumulative = np.concatenate([np.zeros_like(counts[:, :1]), np.cumsum(counts, axis=1)], axis=1)
    cost = np.full((n + 1, n + 1), np.inf)
    for j in range(1, n + 1):
        inside = cumulative[:, j, None] - cumulative[:, :j]
        cost[:j, j] = (_code_length(inside) + 0.5 * (inside > 0).sum(axis=2)).sum(axis=0)
    return cost


# -- frequencies ---------------------------------------------------------------------------------------------------


def _code_length(counts: F64) -> F64:
    """Empirical entropy times count along the last axis, in bits."""
    total = counts.sum(axis=-1)
    return np.asarray(_x_log_x(total) - _x_log_x(counts).sum(axis=-1))


def _x_log_x(x: F64) -> F64:
    return np.asarray(x * np.log2(np.maximum(x, 1)))


def _shrunk(counts: F64) -> F64:
    """Probabilities ``[class, context, symbol]``: each table leans on its class, each class on all of them."""
    everything = counts.sum(axis=(0, 1)) + 0.5
    everything /= everything.sum()
    per_class = counts.sum(axis=1) + _PRIOR_STRENGTH * everything
    per_class /= per_class.sum(axis=1, keepdims=True)
    tables = counts + _PRIOR_STRENGTH * per_class[:, None, :]
    return np.asarray(tables / tables.sum(axis=2, keepdims=True))


def _frequencies(counts: F64, thresholds: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Frequencies ``[class, context + 1, symbol]``, each table summing to 4096; the last table is "no neighbour"."""
    merged = np.add.reduceat(counts[:, :-1], [0, *thresholds], axis=1)
    probabilities = _shrunk(np.concatenate([merged, counts[:, -1:]], axis=1))
    tables = [_integers(row) for row in probabilities.reshape(-1, probabilities.shape[-1])]
    return np.array(tables, np.uint16).reshape(probabilities.shape)


def _integers(probabilities: F64) -> I64:
    """Positive integers summing to 4096, close to ``probabilities`` in code length."""
    wanted = probabilities * PROBABILITY_ONE
    frequencies = np.maximum(1, np.floor(wanted)).astype(np.int64)
    while (missing := PROBABILITY_ONE - int(frequencies.sum())) > 0:
        gain = probabilities * np.log1p(1 / frequencies)
        frequencies[np.argsort(-gain, kind="stable")[:missing]] += 1
    while (excess := int(frequencies.sum()) - PROBABILITY_ONE) > 0:
        loss = np.where(frequencies > 1, -probabilities * np.log1p(-1 / np.maximum(frequencies, 2)), np.inf)
        cheapest = np.argsort(loss, kind="stable")[: min(excess, int((frequencies > 1).sum()))]
        frequencies[cheapest] -= 1
    return frequencies
