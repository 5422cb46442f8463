"""Round weights to even steps, one per layer, chosen so that every byte costs the answers equally little.

1. With step D a layer's outputs get noise ``D^2 / 12 * rows * tr(H)``, H the second moment of its inputs. Noise is
   counted against the energy of the outputs and by the layer's measured sensitivity. Steps make every layer's share
   that of its weights: there a finer step anywhere costs more bytes than it saves (reverse water-filling).
2. Rounding errors are compensated in the columns that are still to be rounded.
3. Biases are rounded to a fine step of their own: they are few.
4. What comes out lies on grids that :mod:`splitc.weights` finds and codes by context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc.passes.base import PassResult
from splitc.passes.change_layers import ChangeLayers, Seen
from splitc.passes.edit_weights import put_bias, read_weight
from splitc.passes.layers import Layer, layers_of
from splitc.passes.sensitivity import Divergence, sensitivities, softmax_divergence
from splitc.types import F32, Feeds
from splitc.weights import rounded

BIAS_STEPS = 1024
"""Steps from zero to a layer's largest bias."""


@dataclass(frozen=True, eq=False)
class RoundToSteps:
    """Round every layer.

    Attributes:
        noise: Noise of all layers' outputs together, as a share of their energy, if nothing were compensated.
        seen: What the layers of the model see.
        sensitivity: Cost of a unit of noise, by weight name; absent: equal for all layers.
        step: Called once a layer.
    """

    name: ClassVar[str] = "round_to_steps"
    noise: float
    seen: Mapping[str, Seen] = field(repr=False)
    sensitivity: Mapping[str, float] | None = None
    step: Callable[[], None] = lambda: None

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; layers of zeros alone are left as they are."""
        steps = layer_steps(model, self.seen, shares_of(model, self.noise, self.sensitivity))

        def change(layer: Layer, weights: F32, factor: F32) -> F32:
            step = steps[layer.weight]
            return rounded(weights, factor, lambda column, index: np.rint(column / step) * step)

        result = ChangeLayers(change, self.seen, frozenset(steps), self.step)(model).model
        for layer in layers_of(result):
            if layer.bias is not None and layer.weight in steps:
                bias = read_weight(result, layer.bias)
                step = np.float32(max(float(np.abs(bias).max()), 1e-12) / BIAS_STEPS)
                put_bias(result, layer, np.rint(bias / step) * step)
        return PassResult(result, bool(steps), (f"{len(steps)} layers rounded to steps",))


def shares_of(model: ir.Model, noise: float, sensitivity: Mapping[str, float] | None) -> dict[str, float]:
    """Noise that each layer may have, by weight name: by its weights, against its sensitivity."""
    sizes = {layer.weight: read_weight(model, layer.weight).size for layer in layers_of(model)}
    if not sizes:
        return {}
    costs = {name: sensitivity.get(name, 1.0) if sensitivity else 1.0 for name in sizes}
    mean = float(np.exp(np.average(np.log(list(costs.values())), weights=list(sizes.values()))))
    return {name: noise * size / sum(sizes.values()) * mean / costs[name] for name, size in sizes.items()}


def layer_steps(model: ir.Model, seen: Mapping[str, Seen], shares: Mapping[str, float]) -> dict[str, np.float32]:
    """Step of every layer that gives its outputs the noise ``shares``, by weight name."""
    steps = {}
    for layer in layers_of(model):
        matrix = layer.matrix(read_weight(model, layer.weight))
        moments = [seen[layer.weight].covariance(group, layer.bias is not None) for group in range(len(matrix))]
        energy = sum(float(((rows @ moment) * rows).sum()) for rows, moment in zip(matrix, moments, strict=True))
        unit = matrix.shape[1] * sum(float(np.trace(moment)) for moment in moments) / 12
        if energy > 0 and unit > 0:
            steps[layer.weight] = np.float32(np.sqrt(shares[layer.weight] * energy / unit))
    return steps


def measure(
    model: ir.Model,
    seen: Mapping[str, Seen],
    feeds: Sequence[Feeds],
    through: ir.Model | None = None,
    step: Callable[[], None] = lambda: None,
    divergence: Divergence = softmax_divergence,
) -> dict[str, float]:
    """Sensitivity of every layer, by weight name; what follows ``feeds`` is that of :func:`sensitivities`."""
    names = [layer.weight for layer in layers_of(model)]
    return sensitivities(
        model, lambda noise: layer_steps(model, seen, dict.fromkeys(names, noise)), feeds, through, step, divergence
    )
