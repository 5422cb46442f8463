"""Change the weights of layers in closed form, each layer compensating its own errors.

1. One run over calibration samples tells what every layer sees: the mean and the covariance of its inputs.
2. The change (rounding, pruning) is made column by column, with the covariance of the inputs saying what the columns
   still to come can make up for (:mod:`splitc.weights.compensate`).
   It is shrunk first: few samples do not fill it.
3. The bias keeps the mean of the outputs. A layer without a bias works on plain second moments instead.
4. Only weights and biases change; names, types and shapes stay.

What later layers lose to earlier ones, :class:`splitc.passes.AlignOutputs` restores. Refitting each layer to the
outputs of the unchanged model by least squares was tried and is worse: noise in its inputs shrinks the weights.
Source: Frantar & Alistarh 2023 (SparseGPT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import COLUMNS, columns_of, kernel_of, rows_of, run_with
from splitc.passes.base import PassResult
from splitc.passes.edit_weights import put_bias, put_weight, read_weight
from splitc.passes.layers import Layer, layers_of
from splitc.types import F32, F64, Feeds
from splitc.weights import factor_of, shrunk

AT_ONCE = 1024
"""Columns that are squared together."""
Change = Callable[[Layer, F32, F32], F32]
"""(layer, weights ``[out, k]`` of one group, factor of the inputs' covariance) -> the weights to use."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A layer's input statistics: mean ``[groups, k]`` and covariance ``[groups, k, k]``.

    ``k`` is ``taps`` places of the kernel times the channels of a group, in this order.
    """

    mean: F64
    spread: F32
    taps: int = 1
    factors: dict[int, F32] = field(default_factory=dict)

    def covariance(self, group: int, is_centred: bool) -> F32:
        """Of a group's inputs, or their plain second moment."""
        if is_centred:
            return np.asarray(self.spread[group])
        return np.asarray(self.spread[group] + np.outer(self.mean[group], self.mean[group]).astype(np.float32))

    def factor(self, group: int, is_centred: bool) -> F32:
        """Factor of the covariance, the same for every change that is tried."""
        if group not in self.factors:
            self.factors[group] = factor_of(shrunk(self.covariance(group, is_centred), self.taps))
        return self.factors[group]


@dataclass(frozen=True, eq=False)
class ChangeLayers:
    """Apply ``change`` to the layers that ``chosen`` names.

    Attributes:
        change: What happens to a group of a layer.
        seen: :func:`moments_of` the unchanged model.
        chosen: Names of the weights to change; None for all.
        step: Called once a layer, also for those that are not chosen.
    """

    name: ClassVar[str] = "change_layers"
    change: Change
    seen: Mapping[str, Seen] = field(repr=False)
    chosen: frozenset[str] | None = None
    step: Callable[[], None] = lambda: None

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; a model without layers is left as it is."""
        changed = model.clone()
        layers = layers_of(changed)
        taken = [layer for layer in layers if self.chosen is None or layer.weight in self.chosen]
        for layer in layers:
            if layer in taken:
                self._change(changed, layer)
            self.step()
        return PassResult(changed, bool(taken), (f"{len(taken)} layers changed, each compensating its errors",))

    def _change(self, model: ir.Model, layer: Layer) -> None:
        whole, seen = read_weight(model, layer.weight), self.seen[layer.weight]
        old, is_centred = layer.matrix(whole), layer.bias is not None
        new = np.stack([self.change(layer, old[g], seen.factor(g, is_centred)) for g in range(len(old))])
        put_weight(model, layer, layer.weight_from(new, whole.shape))
        if layer.bias is not None:
            shift = np.einsum("gok,gk->go", old - new, seen.mean)
            put_bias(model, layer, read_weight(model, layer.bias) + shift.reshape(-1))


def moments_of(model: ir.Model, feeds: Sequence[Feeds]) -> dict[str, Seen]:
    """Input statistics of every layer by weight name, from one run over ``feeds``."""
    layers = layers_of(model)
    places = -(-COLUMNS // max(1, sum(map(rows_of, feeds))))
    sums = {layer.weight: _Sums() for layer in layers}
    for values in run_with(model, [layer.input.name or "" for layer in layers], feeds, only=True):
        for layer in layers:
            sums[layer.weight].add(columns_of(layer, values[layer.input.name or ""], kernel_of(model, layer), places))
    return {layer.weight: sums[layer.weight].seen(math.prod(kernel_of(model, layer))) for layer in layers}


class _Sums:
    """Sums over columns; squared many at a time, since a square of few columns costs as much to add as to make.

    Columns are counted from the mean of the first ones: of values near 300 that differ by 0.05 (kelvin, a static
    camera), a float32 sum of plain squares would keep no digit of the covariance. Columns with NaN or infinities say
    nothing of the others and are left out; where all are, the layer counts as one that saw noise of no direction.
    """

    def __init__(self) -> None:
        self._waiting: list[F32] = []
        self._size = (0, 0)
        self._pivot: F32 | None = None
        self._total: F64 | None = None
        self._square: F32 | None = None
        self._count = 0

    def add(self, columns: F32) -> None:
        """Columns ``[groups, k, n]``."""
        self._size = columns.shape[:2]
        columns = columns if np.isfinite(columns.sum()) else columns[:, :, np.isfinite(columns).all((0, 1))]
        if columns.shape[2]:
            self._waiting.append(columns)
        if sum(one.shape[2] for one in self._waiting) >= AT_ONCE:
            self._flush()

    def seen(self, taps: int) -> Seen:
        """Mean and covariance of all columns."""
        if self._waiting:
            self._flush()
        if self._pivot is None or self._total is None or self._square is None:
            groups, k = self._size
            return Seen(np.zeros((groups, k)), np.broadcast_to(np.eye(k, dtype=np.float32), (groups, k, k)), taps)
        offset = self._total / self._count
        spread = self._square / np.float32(self._count)
        spread -= (offset[:, :, None] * offset[:, None, :]).astype(np.float32)
        return Seen(self._pivot + offset, spread, taps)

    def _flush(self) -> None:
        columns = np.concatenate(self._waiting, axis=2)
        if self._pivot is None:
            self._pivot = columns.mean(2, dtype=np.float64).astype(np.float32)
        columns -= self._pivot[:, :, None]
        total, square = columns.sum(2, dtype=np.float64), _square(columns)
        self._total = total if self._total is None else self._total + total
        self._square = square if self._square is None else np.add(self._square, square, out=self._square)
        self._count += columns.shape[2]
        self._waiting = []


def _square(columns: F32) -> F32:
    """``X X^T`` of every group, one by one: half the work where NumPy knows it symmetric, and its batched product of
    1,152 groups takes forty times as long.
    """
    return np.stack([one @ one.T for one in columns])
