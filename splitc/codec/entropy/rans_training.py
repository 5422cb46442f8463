"""Learn the rANS coder's static tables from calibration symbols (FORMAT.md, "rANS tables").

    samples ──► tokens ──► channel classes ──► contexts ─────────────► frequencies of 4096
                (wide       (k-means in code     (3 levels of activity;   (counts, shrunk towards
                 symbols)    length)              expected sum cut         an average)
                                                  optimally)

Deterministic: no random starts. Code lengths are in bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from splitc.codec.entropy.rans_contexts import ContextInputs, spatial_inputs, temporal_inputs
from splitc.codec.entropy.rans_tables import (
    ESCAPE,
    LEVELS,
    MAX_TOKEN_BITS,
    PROBABILITY_ONE,
    RansTables,
    RansView,
    TokenRule,
)
from splitc.types import U8, Symbols

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_CLUSTER_SYMBOLS = 32  # kinds of symbols that channels are compared on
_CLUSTER_CONTEXTS = 8  # and of neighbour sums

_LEARNING_COST = 1.0  # bits a learnt frequency must save on the calibration set to be worth its risk
_LEVEL_SHARES = (0.3, 0.8)  # of positions at most as active as the lower and the upper level's bound
_PRIOR_STRENGTH = 12.0  # how many symbols an average is worth in each of the tables that lean on it
_MOST_ESCAPES = 1 / 64  # of wide symbols; above it, more low bits stand beside the token


InputsOf: TypeAlias = Callable[[int], ContextInputs]
"""Contexts of the sample with this index; computed whenever they are asked for, since they take eight times its
memory."""


@dataclass(frozen=True)
class Capacity:
    """How many tables there may be, and what one leans on that calibration says little of.

    Attributes:
        classes: Most channel classes, at most 64.
        contexts: Most contexts of a view, at most 64.
        symbols_per_parameter: Calibration symbols wanted for every frequency to learn.
        average: Shares that tables lean on, from counts ``[class, context, symbol]``; axes of 1 where they share them.
        strength: How many symbols the average is worth in each table.
    """

    classes: int
    contexts: int
    symbols_per_parameter: int
    average: Callable[[F64], F64]
    strength: float


def train(samples: Sequence[Symbols], bits: int, previous: Sequence[Symbols] | None, capacity: Capacity) -> RansTables:
    """Tables for ``bits``-bit symbols.

    Args:
        samples: ``[C, H, W]``, all of one C.
        bits: Bits per symbol, 1..16.
        previous: The frame before each sample; makes a second view for chunks coded with theirs.
        capacity: One of :data:`CAPACITIES`.
    """
    rule = token_rule(samples, bits)
    tokens = [rule.tokens(sample) for sample in samples]
    size = sum(sample.size for sample in samples)
    budget = max(1, size // (capacity.symbols_per_parameter << rule.token_bits))
    classes = _classes(tokens, rule.token_bits, min(capacity.classes, max(1, budget // 4)), capacity)
    inputs = [lambda index: spatial_inputs(tokens[index])]
    if previous is not None:
        before = previous
        inputs.append(lambda index: temporal_inputs(tokens[index], rule.tokens(before[index]), rule.token_bits))
    views = tuple(_view(tokens, each, rule.token_bits, classes, budget, capacity) for each in inputs)
    return RansTables(rule, classes, views)


def token_rule(samples: Sequence[Symbols], bits: int) -> TokenRule:
    """The finest tokens that hold all but a few of the symbols."""
    if bits <= MAX_TOKEN_BITS:
        return TokenRule(bits)
    counts = np.zeros(1 << bits, np.int64)
    for sample in samples:
        counts += np.bincount(sample.ravel(), minlength=counts.size)
    for shift in range(bits - MAX_TOKEN_BITS):
        inside = _windows(counts)
        base = int(inside[: counts.size - ESCAPE].argmax())
        if counts.sum() - inside[base] <= _MOST_ESCAPES * counts.sum():
            return TokenRule(bits, shift, base)
        counts = counts.reshape(-1, 2).sum(axis=1)
    return TokenRule(bits, bits - MAX_TOKEN_BITS, 0)


def _windows(counts: I64) -> I64:
    """Sums of ``ESCAPE`` consecutive counts."""
    total = np.concatenate([[0], np.cumsum(counts)])
    return np.asarray(total[ESCAPE:] - total[:-ESCAPE])


def _view(
    tokens: Sequence[U8],
    inputs: InputsOf,
    bits: int,
    classes: npt.NDArray[np.uint8],
    budget: int,
    capacity: Capacity,
) -> RansView:
    activity = _activity_levels(map(inputs, range(len(tokens))), bits)
    counts = _class_counts(tokens, inputs, bits, classes, activity)
    limit = min(capacity.contexts, max(LEVELS, budget // counts.shape[0]))
    thresholds = _partition(counts[:, :-1].reshape(len(counts), LEVELS, -1, counts.shape[2]), limit)
    return RansView(activity, thresholds, _frequencies(counts, thresholds, capacity))


# -- counting ------------------------------------------------------------------------------------------------------


def _activity_levels(inputs: Iterable[ContextInputs], bits: int) -> tuple[int, int]:
    """Activities that split the positions with all three neighbours into calm, middling and busy ones."""
    counts = np.zeros(2 << bits, np.int64)  # an activity is the sum of two differences of tokens
    for each in inputs:
        counts += np.bincount(each.activity[:, 1:, 1:].ravel(), minlength=counts.size)
    size = int(counts.sum())
    if size == 0:
        return 0, 0
    low, high = (int(np.searchsorted(np.cumsum(counts) / size, share)) for share in _LEVEL_SHARES)
    return low, high


def _class_counts(
    tokens: Sequence[U8],
    inputs: InputsOf,
    bits: int,
    classes: npt.NDArray[np.uint8],
    activity: tuple[int, int],
) -> F64:
    """Counts ``[class, level and expected sum, token]``; the last of the middle axis is "nothing to expect"."""
    sums, symbols = 2 * ((1 << bits) - 1) + 1, 1 << bits
    cells = LEVELS * sums + 1
    shape = (int(classes.max()) + 1, cells, symbols)
    counts = np.zeros(shape, np.int64)
    for index, sample in enumerate(tokens):
        each = inputs(index)
        level = np.searchsorted(activity, each.activity)
        context = np.where(each.expected < 0, cells - 1, level * sums + each.expected)
        cell = (classes.astype(np.int64)[:, None, None] * cells + context) * symbols + sample
        counts += np.bincount(cell.ravel(), minlength=counts.size).reshape(shape)
    return counts.astype(np.float64)


# -- channel classes -----------------------------------------------------------------------------------------------


def _classes(samples: Sequence[U8], bits: int, limit: int, capacity: Capacity) -> npt.NDArray[np.uint8]:
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
    tries = [_cluster(counts, _by_rank(key, limit), capacity) for key in (mean, spread)]
    _, best = min(tries, key=lambda cost_and_classes: cost_and_classes[0])
    _, dense = np.unique(best, return_inverse=True)
    return dense.astype(np.uint8)


def _channel_counts(samples: Sequence[U8], bits: int) -> F64:
    """Counts ``[channel, kind of W + N, kind of symbol]``; kinds are finest where symbols are."""
    marginal = np.zeros(1 << bits, np.int64)
    for sample in samples:
        marginal += np.bincount(sample.ravel(), minlength=marginal.size)
    kind = _equal_shares(marginal, _CLUSTER_SYMBOLS)
    kind_of_sum = _equal_shares(np.convolve(marginal, marginal), _CLUSTER_CONTEXTS)
    symbols, contexts = int(kind[-1]) + 1, int(kind_of_sum[-1]) + 1
    channels = samples[0].shape[0]
    counts = np.zeros((channels, contexts + 1, symbols), np.int64)
    channel = np.arange(channels, dtype=np.int64)[:, None, None]
    for sample in samples:
        total = spatial_inputs(sample).expected
        context = np.where(total < 0, contexts, kind_of_sum[total])
        cell = (channel * (contexts + 1) + context) * symbols + kind[sample]
        counts += np.bincount(cell.ravel(), minlength=counts.size).reshape(counts.shape)
    return counts.astype(np.float64)


def _equal_shares(counts: I64, most: int) -> I64:
    """Kinds of consecutive values, ascending from 0, at most ``most``: of about equal counts, or of one value."""
    if len(counts) <= most:
        return np.arange(len(counts))
    before = np.cumsum(counts) - counts
    share = before.astype(np.float64) * most / max(1, int(counts.sum()))
    return np.asarray(np.cumsum(np.diff(np.minimum(share.astype(np.int64), most - 1), prepend=0) > 0))


def _by_rank(key: F64, classes: int) -> I64:
    rank = np.argsort(np.argsort(key, kind="stable"), kind="stable")
    return np.asarray(rank * classes // len(key))


def _cluster(counts: F64, classes: I64, capacity: Capacity, rounds: int = 15) -> tuple[float, I64]:
    """K-means where the distance is the code length of a channel under a class's tables."""
    flat = counts.reshape(len(counts), -1)
    cost = np.inf
    for _ in range(rounds):
        lengths = flat @ _class_code(counts, classes, capacity).T
        nearest = lengths.argmin(axis=1)
        improved = float(lengths.min(axis=1).sum())
        if improved >= cost * (1 - 1e-6):
            break
        cost, classes = improved, nearest
    return cost, classes


def _class_code(counts: F64, classes: I64, capacity: Capacity) -> F64:
    """Bits of every (context, symbol) under each class, ``[class, context * symbol]``."""
    merged = np.stack([counts[classes == k].sum(axis=0) for k in range(int(classes.max()) + 1)])
    return -np.log2(_shrunk(merged, capacity)).reshape(len(merged), -1)


# -- contexts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Bins:
    """Consecutive values of W + N merged so that the search stays small."""

    starts: I64
    counts: F64  # [class, bin, coarse symbol]
    symbols_per_cell: int


def _bins(counts: F64, most: int = 96, most_symbols: int = 64) -> _Bins:
    mass = counts.sum(axis=(0, 2))
    cumulative = np.cumsum(mass) - mass
    fraction = cumulative / max(1.0, float(mass.sum()))
    label = np.floor(fraction * most) if len(mass) > most else np.arange(len(mass))
    starts = np.flatnonzero(np.diff(label, prepend=-1) > 0)
    merged = np.add.reduceat(counts, starts, axis=1)
    step = max(1, counts.shape[2] // most_symbols)
    return _Bins(starts, merged.reshape(*merged.shape[:2], -1, step).sum(axis=3), step)


def _partition(counts: F64, limit: int) -> tuple[tuple[int, ...], ...]:
    """Thresholds of every level: together at most ``limit`` contexts, each new one where it saves the most.

    Args:
        counts: ``[class, level, W + N, symbol]``.
        limit: Most contexts.
    """
    levels = [_Partitions(counts[:, level], limit) for level in range(LEVELS)]
    used = [1] * LEVELS
    while sum(used) < limit:
        savings = [level.saving(contexts) for level, contexts in zip(levels, used, strict=True)]
        best = int(np.argmax(savings))
        if savings[best] <= 0:
            break
        used[best] += 1
    return tuple(level.thresholds(contexts) for level, contexts in zip(levels, used, strict=True))


class _Partitions:
    """The monotone partitions of W + N with the least code length, for every number of contexts.

    Dynamic programming over ``[class, W + N, symbol]`` counts.
    """

    def __init__(self, counts: F64, limit: int) -> None:
        bins = _bins(counts)
        self._starts = bins.starts
        cost = _interval_costs(bins)
        best = cost[0]  # best[j]: bins [0, j) in as many contexts as rounds so far
        self._costs = [best[-1]]
        self._last_starts: list[I64] = []
        for _ in range(1, min(limit, len(bins.starts))):
            options = best[:, None] + cost  # [last start i, end j]
            self._last_starts.append(options.argmin(axis=0))
            best = options.min(axis=0)
            self._costs.append(best[-1])

    def saving(self, contexts: int) -> float:
        """Bits that one more context than ``contexts`` saves."""
        if contexts >= len(self._costs):
            return 0.0
        return float(self._costs[contexts - 1] - self._costs[contexts])

    def thresholds(self, contexts: int) -> tuple[int, ...]:
        end, ends = len(self._starts), []
        for last_start in reversed(self._last_starts[: contexts - 1]):
            end = int(last_start[end])
            ends.append(end)
        return tuple(int(self._starts[e]) for e in reversed(ends))


def _interval_costs(bins: _Bins) -> F64:
    """Code length of bins ``[i, j)`` as one context, plus a price for every frequency to learn; inf if empty."""
    n = bins.counts.shape[1]
    cumulative = np.concatenate([np.zeros_like(bins.counts[:, :1]), np.cumsum(bins.counts, axis=1)], axis=1)
    price = _LEARNING_COST * bins.symbols_per_cell
    cost = np.full((n + 1, n + 1), np.inf)
    for j in range(1, n + 1):
        inside = cumulative[:, j, None] - cumulative[:, :j]
        cost[:j, j] = (_code_length(inside) + price * (inside > 0).sum(axis=2)).sum(axis=0)
    return cost


# -- frequencies ---------------------------------------------------------------------------------------------------


def _code_length(counts: F64) -> F64:
    """Empirical entropy times count along the last axis, in bits."""
    total = counts.sum(axis=-1)
    return np.asarray(_x_log_x(total) - _x_log_x(counts).sum(axis=-1))


def _x_log_x(x: F64) -> F64:
    return np.asarray(x * np.log2(np.maximum(x, 1)))


def _shrunk(counts: F64, capacity: Capacity) -> F64:
    """Probabilities ``[class, context, symbol]``: each table leans on an average, each average on all of them."""
    tables = counts + capacity.strength * capacity.average(counts)
    return np.asarray(tables / tables.sum(axis=2, keepdims=True))


def _class_average(counts: F64) -> F64:
    """Of each class over all contexts, ``[class, 1, symbol]``: few classes have symbols enough for every context."""
    return _leaning_on_all(counts, counts.sum(axis=1, keepdims=True))


def _context_average(counts: F64) -> F64:
    """Of each context over all classes, ``[1, context, symbol]``: classes of few channels differ little."""
    return _leaning_on_all(counts, counts.sum(axis=0, keepdims=True))


def _leaning_on_all(counts: F64, sums: F64) -> F64:
    everything = counts.sum(axis=(0, 1)) + 0.5
    shares = sums + _PRIOR_STRENGTH * (everything / everything.sum())
    return np.asarray(shares / shares.sum(axis=2, keepdims=True))


CAPACITIES = {
    "few": Capacity(classes=8, contexts=32, symbols_per_parameter=8, average=_class_average, strength=_PRIOR_STRENGTH),
    "wide": Capacity(classes=24, contexts=32, symbols_per_parameter=2, average=_context_average, strength=50),
}
"""By the name of ``contexts``. On other pictures than those trained on, "wide" saves 0.5 % over the benchmark's cuts
behind transforms and without, 1.8 % at best, and costs 0.1 % at worst. With 64 classes and 64 contexts it would save
0.7 %, and decode at half the speed: tables beyond the processor's nearer caches."""


def _frequencies(counts: F64, thresholds: tuple[tuple[int, ...], ...], capacity: Capacity) -> npt.NDArray[np.uint16]:
    """Frequencies ``[class, context + 1, symbol]``, each table summing to 4096; the last table is "no neighbour"."""
    sums = (counts.shape[1] - 1) // LEVELS
    starts = [level * sums + start for level, cuts in enumerate(thresholds) for start in (0, *cuts)]
    merged = np.add.reduceat(counts, [*starts, LEVELS * sums], axis=1)
    probabilities = _shrunk(merged, capacity)
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
