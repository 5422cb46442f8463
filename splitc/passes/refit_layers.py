"""Change the weights layer by layer, each making up for what was lost in it and before it, in closed form.

1. Layers are taken in graph order. With x the inputs of a layer in the original model and z those in the changed one,
   the weights that make the old outputs from the new inputs are ``W' = W Cov(x, z) Cov(z)^-1``.
2. The change (rounding, pruning) is made to W' column by column, with ``Cov(z)`` saying what the columns still to come
   can make up for (:mod:`splitc.weights.compensate`).
3. The bias meets the mean of the old outputs. A layer without a bias works on plain second moments instead.
4. Only weights and biases change; names, types and shapes stay.

Source: Frantar & Alistarh 2023 (SparseGPT); refitting to the original's outputs as in Hubara et al. 2021 and Li et al.
2025 (GPTAQ).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import COLUMNS, columns_of, kernel_of, run_with
from splitc.passes.base import PassResult
from splitc.passes.layers import Layer, layers_of, put_weight, read_weight
from splitc.types import F32, F64, Feeds
from splitc.weights import factor_of

Change = Callable[[Layer, F32, F32], F32]
"""(layer, best float weights ``[out, k]`` of one group, factor of the inputs' moments) -> the weights to use."""
RIDGE = 0.01
"""Share of the mean diagonal by which old weights are preferred where calibration cannot tell."""


@dataclass(frozen=True, eq=False)
class RefitLayers:
    """Apply ``change`` to the layers that ``chosen`` names.

    Attributes:
        change: What happens to a layer.
        feeds: Calibration samples, batch first.
        chosen: Names of the weights to change; None for all.
        step: Called once a layer.
        original: Whose outputs are met; absent: the model's own. Its layers have the same weights in the same order.
    """

    name: ClassVar[str] = "refit_layers"
    change: Change
    feeds: Sequence[Feeds] = field(repr=False)
    chosen: frozenset[str] | None = None
    step: Callable[[], None] = lambda: None
    original: ir.Model | None = None

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; a model without layers is left as it is."""
        changed, original = model.clone(), self.original or model
        pairs = list(zip(layers_of(original), layers_of(changed), strict=True))
        taken = [pair for pair in pairs if self.chosen is None or pair[0].weight in self.chosen]
        for old, new in taken:
            seen = _moments((original, old), (changed, new), self.feeds)
            _refit(original, changed, new, seen, self.change)
            self.step()
        note = f"{len(taken)} layers changed and refitted on {len(self.feeds)} calibration batches"
        return PassResult(changed, bool(taken), (note,))


class _Seen(NamedTuple):
    """Moments of old inputs x and new inputs z: means ``[groups, k]``, second moments ``[groups, k, k]``."""

    x: F64
    z: F64
    zz: F32
    xz: F32


def _moments(old: tuple[ir.Model, Layer], new: tuple[ir.Model, Layer], feeds: Sequence[Feeds]) -> _Seen:
    places = -(-COLUMNS // sum(len(next(iter(one.values()))) for one in feeds))
    runs = [_columns(model, layer, feeds, places) for model, layer in (old, new)]
    x, z = runs
    count = np.float32(x.shape[2])
    zt = z.transpose(0, 2, 1)
    return _Seen(x.mean(2, dtype=np.float64), z.mean(2, dtype=np.float64), _square(z) / count, (x @ zt) / count)


def _columns(model: ir.Model, layer: Layer, feeds: Sequence[Feeds], places: int) -> F32:
    name, kernel = layer.input.name or "", kernel_of(model, layer)
    parts = [columns_of(layer, values[name], kernel, places) for values in run_with(model, [name], feeds, only=True)]
    return np.concatenate(parts, axis=2)


def _square(z: F32) -> F32:
    """``Z Z^T`` of every group; one group by itself is half the work."""
    if len(z) > 1:
        return np.asarray(z @ z.transpose(0, 2, 1))
    product: F32 = z[0] @ z[0].T
    return product[None]


def _refit(model: ir.Model, changed: ir.Model, layer: Layer, seen: _Seen, change: Change) -> None:
    whole = read_weight(model, layer.weight)
    old = layer.matrix(whole)
    is_centred = layer.bias is not None
    new = np.stack([_group(layer, old[group], seen, group, is_centred, change) for group in range(len(old))])
    put_weight(changed, layer.weight, layer.weight_from(new, whole.shape))
    if layer.bias is not None:
        shift = np.einsum("gok,gk->go", old, seen.x) - np.einsum("gok,gk->go", new, seen.z)
        put_weight(changed, layer.bias, read_weight(model, layer.bias) + shift.reshape(-1).astype(np.float32))


def _group(layer: Layer, old: F32, seen: _Seen, group: int, is_centred: bool, change: Change) -> F32:
    zz, xz = seen.zz[group], seen.xz[group]
    if is_centred:
        zz = zz - np.outer(seen.z[group], seen.z[group]).astype(np.float32)
        xz = xz - np.outer(seen.x[group], seen.z[group]).astype(np.float32)
    ridge = np.eye(len(zz), dtype=np.float32) * np.float32(RIDGE * np.trace(zz) / len(zz) + 1e-12)
    best = np.linalg.solve(zz + ridge, (old @ (xz + ridge)).T).T.astype(np.float32)
    return change(layer, np.ascontiguousarray(best), factor_of(zz))
