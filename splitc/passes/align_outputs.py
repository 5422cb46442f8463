"""Give every layer of a changed model the output means, and where weights are float the spreads, that it had.

1. Layer by layer in graph order, so that a layer sees what the aligned layers before it make: the graph is run once,
   in segments, each from what is kept of those before it (:class:`splitc.passes.segments.SegmentRuns`).
2. Means are met by the bias, one number a channel, as far as the samples agree on the difference (below); spreads by a
   factor on the channel's weights and bias.
3. A layer whose weight is quantized, or read by others too, keeps its weights; one without a bias initializer, or
   with a beta of 0, is left alone. A bias that others read becomes the layer's own.

Source: Nagel et al. 2019 (bias correction); spreads are what re-estimating batch normalization would restore.

Why means are not met in full. Let d be a channel's true shift, and d_i the shift seen on sample i, with variance v
over n samples. Correcting by their mean m leaves the error v / n on average; correcting by nothing leaves d**2. Of all
multiples of m, ``d**2 / (d**2 + v / n)`` times m leaves the least. Since m**2 is ``d**2 + v / n`` on average, that
factor is estimated as ``1 - (v / n) / m**2``, and a negative estimate, which would turn the correction around, counts
as 0. Samples that agree get the whole correction, samples that contradict each other none: forty pictures say much of
a layer that sees thousands of places in each and little of a classifier, which sees each once. The form is that of
James and Stein's positive-part estimator; their theorem, which needs three or more means of one variance, is not
claimed for single channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.passes.activations import run_with
from splitc.passes.base import PassResult
from splitc.passes.edit_weights import put_operand, read_operand
from splitc.passes.layers import BIAS, WEIGHT
from splitc.passes.segments import SegmentRuns
from splitc.types import F64, Array, Feeds

LEAST_SPREAD = 1e-6
MOST_KEPT_BYTES = 2 << 30
KEPT_AT_ONCE = 3
"""Values of one feed that are held at a time, as large as the largest: what a residual block needs."""
MOST_FACTOR = 1.5
"""Spreads are met by factors of 1/1.5 to 1.5; more would be guessing."""


class Moments(NamedTuple):
    """Mean and standard deviation of every output channel; ``means`` of each sample, ``[samples, channels]``."""

    mean: F64
    spread: F64
    means: F64


@dataclass(frozen=True, eq=False)
class AlignOutputs:
    """Align a changed model with the one it came from.

    Attributes:
        original: The model before the change; values have the same names.
        feeds: Calibration samples.
        step: Called once a layer.
        spared: Names of outputs whose layers stay as they are.
    """

    name: ClassVar[str] = "align_outputs"
    original: ir.Model
    feeds: Sequence[Feeds] = field(repr=False)
    step: Callable[[], None] = lambda: None
    spared: frozenset[str] = frozenset()

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; layers that cannot be aligned are counted in the note."""
        aligned = model.clone()
        nodes = [node for node in aligned_nodes(aligned) if node.outputs[0].name not in self.spared]
        names = [node.outputs[0].name or "" for node in nodes]
        feeds = affordable(self.original, names, self.feeds)
        wanted = moments(self.original, names, feeds)
        for node, made in SegmentRuns(aligned, nodes, feeds):
            found = _moments([_sums(one) for one in made])
            aim = _shrunk(wanted[node.outputs[0].name or ""], found)
            factor, shift = _align(aligned, node, aim, found)
            for one in made:  # the layer's new outputs, in place: later layers read them
                shape = (1, -1, *[1] * (one.ndim - 2))
                one *= factor.astype(one.dtype).reshape(shape)
                one += shift.astype(one.dtype).reshape(shape)
            self.step()
        return PassResult(aligned, bool(nodes), (f"outputs of {len(nodes)} layers aligned",))


def aligned_nodes(model: ir.Model) -> list[ir.Node]:
    """What :class:`AlignOutputs` aligns, in graph order."""
    return [node for node in model.graph if _bias_share(node)]


def _bias_share(node: ir.Node) -> float:
    """What a convolution or product multiplies its bias initializer by; 0 where it has none that can be changed."""
    if node.op_type not in ("Conv", "Gemm") or node.domain != "" or len(node.inputs) <= BIAS:
        return 0.0
    bias = node.inputs[BIAS]
    is_float = bias is not None and bias.const_value is not None and bias.const_value.dtype == ir.DataType.FLOAT
    if bias is None or not bias.is_initializer() or bias.graph is not node.graph or not is_float:
        return 0.0
    if bias.const_value is None or not bias.const_value.size:
        return 0.0
    return node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0


def affordable(model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds]) -> Sequence[Feeds]:
    """As many of the feeds as keep values of all of them within :data:`MOST_KEPT_BYTES`, at least one."""
    for values in run_with(model, names, feeds[:1], only=True) if names else ():
        largest = max(values[name].nbytes for name in names)
        return feeds[: max(1, MOST_KEPT_BYTES // (KEPT_AT_ONCE * largest))]
    return feeds


def moments(model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds]) -> dict[str, Moments]:
    """Of values ``[n, channels, ...]`` over all samples."""
    sums: dict[str, list[F64]] = {name: [] for name in names}
    for values in run_with(model, names, feeds, only=True) if names else ():
        for name in names:
            sums[name].append(_sums(values[name]))
    return {name: _moments(parts) for name, parts in sums.items()}


def _sums(x: Array) -> F64:
    """Sum, sum of squares and count, ``[3, channels]``."""
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)
    return np.stack([flat.sum(1), np.square(flat).sum(1), np.full(len(flat), flat.shape[1], np.float64)])


def _moments(parts: Sequence[F64]) -> Moments:
    sums = np.sum(parts, axis=0)
    mean = sums[0] / sums[2]
    spread = np.sqrt(np.maximum(sums[1] / sums[2] - mean**2, 0))
    return Moments(mean, spread, np.stack([one[0] / one[2] for one in parts]))


def _shrunk(wanted: Moments, found: Moments) -> Moments:
    """``wanted`` with the means shrunk towards those found (see the top of this module)."""
    return wanted._replace(mean=found.mean + agreed_share(wanted.means - found.means) * (wanted.mean - found.mean))


def agreed_share(moved: F64) -> F64:
    """As far as samples agree on a shift: 0 to 1 of every channel; of one sample, 1 (see the top of this module).

    Args:
        moved: Shift of every sample, ``[samples, channels]``.
    """
    if len(moved) < 2:
        return np.ones(moved.shape[1])
    error = moved.var(0, ddof=1) / len(moved)
    share = 1 - error / np.maximum(moved.mean(0) ** 2, np.finfo(np.float64).tiny)
    return np.asarray(np.clip(share, 0, 1), np.float64)


def _align(model: ir.Model, node: ir.Node, wanted: Moments, found: Moments) -> tuple[F64, F64]:
    """Change bias and, where it is float, weight; what each channel was multiplied by, and what was added then.

    A channel with NaN or infinities has no mean to meet, and stays as it is.
    """
    weight = node.inputs[WEIGHT]
    assert weight is not None
    factor = np.ones_like(wanted.mean)
    is_own = weight.is_initializer() and not graph.is_read_beside(weight, {(node, WEIGHT)})
    if node.op_type == "Conv" and is_own:
        ratio = wanted.spread / np.maximum(found.spread, LEAST_SPREAD)
        usable = (found.spread > LEAST_SPREAD) & np.isfinite(ratio)
        factor = np.where(usable, np.clip(ratio, 1 / MOST_FACTOR, MOST_FACTOR), 1)
        whole = read_operand(node, WEIGHT)
        put_operand(model, node, WEIGHT, whole * factor.reshape(-1, *[1] * (whole.ndim - 1)))
    shift = wanted.mean - factor * found.mean
    shift = np.where(np.isfinite(shift), shift, 0)
    put_operand(model, node, BIAS, factor * read_operand(node, BIAS) + shift / _bias_share(node))
    return np.asarray(factor, np.float64), shift
