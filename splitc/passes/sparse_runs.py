"""N of M sparsity along the input channels, the pattern that sparse tensor cores multiply (2:4).

1. Of every M neighbouring input channels at one place of the kernel, N weights stay; the others make up for the rest.
2. Layers whose input channels are no multiple of M, and grouped ones, are left alone: engines would not use them.
3. An engine gains time only where its GPU has sparse tensor cores and the layer is bound by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import onnx_ir as ir

from splitc.passes.align_outputs import AlignOutputs
from splitc.passes.base import PassResult
from splitc.passes.change_layers import ChangeLayers, moments_of
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import Layer, layers_of
from splitc.types import F32, Feeds
from splitc.weights import keep_largest_of_runs, keep_n_of_m, pruned


@dataclass(frozen=True, eq=False)
class SparseRuns:
    """Keep ``n`` of every ``m`` weights along the input channels.

    Attributes:
        feeds: Calibration samples; none: the largest weights stay unchanged and nothing is compensated.
        n, m: The pattern.
        step: Called once a layer where there are samples.
    """

    name: ClassVar[str] = "sparse_runs"
    feeds: Sequence[Feeds] = field(default=(), repr=False)
    n: int = 2
    m: int = 4
    step: Callable[[], None] = lambda: None

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: CodecError: ``n`` is not between 1 and ``m - 1``."""
        chosen = frozenset(layer.weight for layer in layers_of(model) if self._fits(model, layer))
        layers = len(layers_of(model))
        result = self._compensated(model, chosen) if self.feeds else self._plain(model, chosen)
        note = f"{self.n}:{self.m} sparsity in {len(chosen)} of {layers} layers"
        return PassResult(result.model, bool(chosen), (note,))

    def _fits(self, model: ir.Model, layer: Layer) -> bool:
        shape = read_weight(model, layer.weight).shape
        channels = shape[0] if layer.is_transposed else shape[1]
        return layer.groups == 1 and channels % self.m == 0

    def _compensated(self, model: ir.Model, chosen: frozenset[str]) -> PassResult:
        changed = ChangeLayers(self._change, moments_of(model, self.feeds), chosen, self.step)(model).model
        return AlignOutputs(model, self.feeds)(changed)

    def _change(self, layer: Layer, weights: F32, factor: F32) -> F32:
        return pruned(weights, factor, keep_n_of_m(self.n, self.m))

    def _plain(self, model: ir.Model, chosen: frozenset[str]) -> PassResult:
        changed = model.clone()
        for layer in layers_of(changed):
            if layer.weight in chosen:
                whole = read_weight(changed, layer.weight)
                matrix = layer.matrix(whole)
                kept = matrix * keep_largest_of_runs(matrix, self.n, self.m)
                put_weight(changed, layer, layer.weight_from(kept, whole.shape))
        return PassResult(changed, bool(chosen))
