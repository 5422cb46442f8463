"""Round weights to even steps, one a layer, chosen so that every byte costs the answers equally little.

1. With step D a layer's outputs get noise ``D^2 / 12 * rows * tr(H)``, H the second moment of its inputs. Noise is
   counted against the energy of the outputs; steps make every layer's share that of its weights, which is where a
   finer step anywhere would cost more bytes than it saves noise (reverse water-filling; the Fisher information of a
   layer's own outputs).
2. Rounding errors are made up for by the columns still to come.
3. Biases are rounded to a fine step of their own: they are few.
4. What comes out lies on grids that :mod:`splitc.weights` finds and codes by context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.passes.base import PassResult
from splitc.passes.change_layers import ChangeLayers, Seen
from splitc.passes.layers import Layer, layers_of, put_weight, read_weight
from splitc.types import F32
from splitc.weights import rounded

BIAS_STEPS = 1024
"""Steps from zero to a layer's largest bias."""


@dataclass(frozen=True, eq=False)
class RoundToSteps:
    """Round every layer.

    Attributes:
        noise: Noise of all layers' outputs together, as a share of their energy, were nothing made up for.
        seen: What the layers of the model see.
    """

    name: ClassVar[str] = "round_to_steps"
    noise: float
    seen: Mapping[str, Seen] = field(repr=False)

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; layers of zeros alone are left as they are."""
        steps = layer_steps(model, self.seen, self.noise)

        def change(layer: Layer, weights: F32, factor: F32) -> F32:
            step = steps[layer.weight]
            return rounded(weights, factor, lambda column, index: np.rint(column / step) * step)

        result = ChangeLayers(change, self.seen, frozenset(steps))(model).model
        for layer in layers_of(result):
            if layer.bias is not None and layer.weight in steps:
                bias = read_weight(result, layer.bias)
                step = np.float32(max(float(np.abs(bias).max()), 1e-12) / BIAS_STEPS)
                put_weight(result, layer.bias, np.rint(bias / step) * step)
        return PassResult(result, bool(steps), (f"{len(steps)} layers rounded to steps",))


def layer_steps(model: ir.Model, seen: Mapping[str, Seen], noise: float) -> dict[str, np.float32]:
    """Step of every layer, by weight name."""
    layers = layers_of(model)
    weights = {layer.weight: layer.matrix(read_weight(model, layer.weight)) for layer in layers}
    total = sum(one.size for one in weights.values())
    steps = {}
    for layer in layers:
        matrix = weights[layer.weight]
        moments = [seen[layer.weight].covariance(group, layer.bias is not None) for group in range(len(matrix))]
        energy = sum(float(((rows @ moment) * rows).sum()) for rows, moment in zip(matrix, moments, strict=True))
        unit = matrix.shape[1] * sum(float(np.trace(moment)) for moment in moments) / 12
        if energy > 0 and unit > 0:
            steps[layer.weight] = np.float32(np.sqrt(noise * matrix.size / total * energy / unit))
    return steps
