"""INT8 as static Q/DQ: ranges from samples, weights rounded so that each layer's outputs stay what they were.

    equalize ──► Q/DQ before every layer ──► round the weights ──► int8 weights and DQ ──► correct the biases

Symmetric, zero point 0, activations with one scale a tensor, weights with one an output channel, biases in float:
what TensorRT 10, 11 and TensorRT-RTX parse. No labels, no training.

Which layers share a range. A value has one range and one Q/DQ pair, and all layers that read it share them: an engine
then quantizes the tensor once and keeps one INT8 copy. Layers that read different values share nothing.

Ranges across folds. With the range R a value is rounded to steps of R / 127, and what exceeds R is clipped to it. The
R of least error on the calibration samples hardly exceeds their largest magnitude, but other samples do, most of all in
deep, small maps, where a sample has few values. So every fourth sample in turn plays the unseen ones: for a multiple c
of the largest magnitude in the *other* three folds, the fold's error is the sum of ``|x - quantized(x)| ** NORM`` over
a histogram. c may exceed 1, which leaves headroom. Each fold's errors are divided by their least one, so that a fold
with outliers does not outvote the rest, and the c of the least sum, times the largest magnitude of all samples, is the
range. One fold gives the plain range of least error. Consecutive samples fall into different folds: frames of one
video resemble each other more than another video will, and their ranges are that much too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.activations import run_with
from splitc.passes.align_outputs import AlignOutputs, aligned_nodes
from splitc.passes.base import PassResult, require_sound
from splitc.passes.change_layers import ChangeLayers, moments_of
from splitc.passes.edit_weights import add_weight, read_weight
from splitc.passes.equalize import Equalize
from splitc.passes.layers import Layer, layers_of
from splitc.passes.lift_layers import QUANTIZED
from splitc.types import F32, F64, Array, Feeds
from splitc.weights import rounded

TOP = 127
BINS = 2048
REACHES = np.linspace(0.3, 2.0, 69)
"""Multiples of the largest value that are tried as the range."""
EXTENTS = (1.0, 2.0, 4.0)
"""Largest factors by which channels may be stretched, in ascending order; each is tried."""
MAX_JUDGES = 32
FOLDS = 4
NORM = 2.5
"""Power of an activation's error that its range makes small; Nahshan et al. 2019 (LAPQ) search it about here."""
WEIGHT_CLIPS = np.linspace(0.7, 1.0, 13)
MAX_MOMENT_SAMPLES = 64
"""Samples that weights are rounded and biases corrected on; ranges are taken from all."""
FIRST_OPSET = 13
"""DequantizeLinear has an axis from here on."""


@dataclass(frozen=True, eq=False)
class QuantizeStatic:
    """INT8 Q/DQ with ranges from samples.

    1. Inputs and weights of convolutions and products with a constant weight are quantized; nothing else is.
    2. What leaves the graph is float and was not dequantized: at the cut the codec quantizes, once.
    3. Names and types of inputs and outputs stay.

    Attributes:
        feeds: Calibration samples.
        keep_float: Names of weights whose layers stay float.
        step: Called as often as :func:`steps_of` says.
    """

    name: ClassVar[str] = "quantize_static"
    feeds: Sequence[Feeds] = field(repr=False)
    keep_float: frozenset[str] = frozenset()
    step: Callable[[], None] = lambda: None

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: The opset is too old for a DequantizeLinear with an axis."""
        chosen = frozenset(layer.weight for layer in layers_of(model)) - self.keep_float
        if not chosen:
            return PassResult(model, False, ("nothing to quantize: no convolution and no product",))
        if model.opset_imports.get("", FIRST_OPSET) < FIRST_OPSET:
            version = model.opset_imports.get("")
            raise GraphError(f"INT8: opset {version} has no DequantizeLinear with an axis; use precision fp32.")
        equal = best_equalized(model, self.feeds)
        ranges = activation_ranges(equal.model, read_by(equal.model, chosen), self.feeds)
        chosen = _with_ranges(equal.model, chosen, ranges)
        self.step()
        prepared = with_activations(equal.model, ranges, chosen)
        lowered = round_layers(prepared, equal.model, chosen, self.feeds[:MAX_MOMENT_SAMPLES], self.step)
        lowered = AlignOutputs(equal.model, self.feeds[:MAX_MOMENT_SAMPLES], self.step)(lowered).model
        require_sound(lowered, f"pass {self.name!r}")
        finite = [name for name, reach in ranges.items() if np.isfinite(reach)]
        notes = (
            f"INT8 Q/DQ: {len(finite)} activations quantized on {_count(self.feeds)} samples",
            *equal.notes,
            *_endless(ranges),
            f"{len(chosen)} layers rounded and corrected, {len(layers_of(model)) - len(chosen)} kept in float",
        )
        return PassResult(lowered, True, notes, equal.model)


def _with_ranges(model: ir.Model, chosen: frozenset[str], ranges: Mapping[str, float]) -> frozenset[str]:
    """The layers whose inputs have a finite range."""
    layers = [layer for layer in layers_of(model) if layer.weight in chosen]
    return frozenset(layer.weight for layer in layers if np.isfinite(ranges[layer.input.name or ""]))


def _endless(ranges: Mapping[str, float]) -> list[str]:
    """What is said of values without a finite range."""
    names = [repr(name) for name, reach in ranges.items() if not np.isfinite(reach)]
    return [f"layers that read {', '.join(names)} stay float: NaN or infinities on calibration samples"] * bool(names)


def steps_of(model: ir.Model) -> int:
    """How often :attr:`QuantizeStatic.step` is called for ``model``, nothing kept in float."""
    layers = len(layers_of(model))
    return 1 + layers + len(aligned_nodes(model)) if layers else 0


def _count(feeds: Sequence[Feeds]) -> int:
    return sum(len(next(iter(one.values()))) for one in feeds)


# -- equalization --------------------------------------------------------------------------------------------------


def best_equalized(model: ir.Model, feeds: Sequence[Feeds]) -> PassResult:
    """The model equalized as far as it pays on samples that it was not equalized on.

    A few samples do not show how far a channel reaches; stretched to what they show, it is clipped later. So each
    extent is tried on three of four samples, with activations quantized, and judged by the squared error of the outputs
    on the others. With fewer than four feeds there is nothing to judge by, and nothing is equalized.
    """
    fitted = [one for index, one in enumerate(feeds) if index % FOLDS != FOLDS - 1]
    held = feeds[FOLDS - 1 :: FOLDS][:MAX_JUDGES]
    if not held:
        return PassResult(model, False, (f"no channels equalized: fewer than {FOLDS} samples, none to judge by",))
    errors = [_held_error(model, Equalize(fitted, most)(model).model, fitted, held) for most in EXTENTS]
    best = EXTENTS[int(np.argmin(errors))]
    if best == 1.0:
        return PassResult(model, False, ("no channels equalized: it does not pay on held-out samples",))
    return Equalize(feeds, best)(model)


def _held_error(model: ir.Model, equal: ir.Model, fitted: Sequence[Feeds], held: Sequence[Feeds]) -> float:
    """Squared error of the outputs, as a share of their energy, from quantizing the activations of ``equal``."""
    chosen = frozenset(layer.weight for layer in layers_of(equal))
    lowered = with_activations(equal, activation_ranges(equal, read_by(equal, chosen), fitted), chosen)
    error = energy = 0.0
    for exact, got in zip(run_with(model, [], held), run_with(lowered, [], held), strict=True):
        for name, values in exact.items():
            wanted = values.astype(np.float64)
            error, energy = error + float(np.square(wanted - got[name]).sum()), energy + float(np.square(wanted).sum())
    return error / max(energy, 1e-30)


# -- activations ---------------------------------------------------------------------------------------------------


def read_by(model: ir.Model, chosen: frozenset[str]) -> list[str]:
    """Names of the values that the chosen layers read, each once."""
    return list(dict.fromkeys(layer.input.name or "" for layer in layers_of(model) if layer.weight in chosen))


def with_activations(model: ir.Model, ranges: Mapping[str, float], chosen: frozenset[str]) -> ir.Model:
    """A copy with Q and DQ before the chosen layers, one pair a value; none for a value without a finite range."""
    changed = model.clone()
    names = graph.FreshNames(changed)
    layers = [layer for layer in layers_of(changed) if layer.weight in chosen]
    values = {layer.input.name or "": layer.input for layer in layers}
    for name, value in values.items():
        if not np.isfinite(ranges[name]):
            continue
        readers = [layer.node for layer in layers if layer.input is value]
        _insert_pair(changed, value, np.float32(ranges[name] / TOP), readers, names)
    return changed


def _insert_pair(
    model: ir.Model, value: ir.Value, scale: np.float32, readers: Sequence[ir.Node], names: graph.FreshNames
) -> None:
    parts = [
        add_weight(model, f"{value.name}_{kind}", np.array(one), names)
        for kind, one in (("scale", scale), ("zero_point", np.int8(0)))
    ]
    quantize = ir.node("QuantizeLinear", [value, *parts], name=names(f"{value.name}_QuantizeLinear"))
    restore = ir.node("DequantizeLinear", [quantize.outputs[0], *parts], name=names(f"{value.name}_DequantizeLinear"))
    quantize.outputs[0].name, restore.outputs[0].name = (
        names(f"{value.name}_{kind}") for kind in ("quantized", "dequantized")
    )
    restore.outputs[0].type, restore.outputs[0].shape = value.type, value.shape
    model.graph.insert_before(readers[0], [quantize, restore])
    for reader in readers:
        reader.replace_input_with(0, restore.outputs[0])


def activation_ranges(
    model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], norm: float = NORM, folds: int = FOLDS
) -> dict[str, float]:
    """Largest magnitude to represent, by name: what serves each fold of the samples best given the other folds.

    Why across folds: see the top of this module. Errors count by the power ``norm``: clipped outliers move the answers
    more than their squares say.

    A value that holds NaN or infinities for any sample has an infinite range.

    Args:
        model: In float.
        names: Of the values.
        feeds: Calibration samples; sample i is of fold ``i % folds``.
        norm: Power of the errors.
        folds: 1 for ranges of least error on the samples themselves.
    """
    tops = {name: np.full(folds, 1e-9) for name in names}
    for name, fold, found in _folds(model, names, feeds, folds):
        tops[name][fold] = np.maximum(tops[name][fold], float(found.max()))
    finite = [name for name in names if np.isfinite(tops[name]).all()]
    counts: dict[str, F64] = {name: np.zeros((folds, BINS)) for name in finite}
    for name, fold, found in _folds(model, finite, feeds, folds):
        counts[name][fold] += np.histogram(found, BINS, (0, tops[name].max()))[0]
    reaches = {name: float(tops[name].max()) * _best_reach(counts[name], tops[name], norm) for name in finite}
    return {name: reaches.get(name, float("inf")) for name in names}


def _folds(
    model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], folds: int
) -> Iterator[tuple[str, int, Array]]:
    """Magnitudes of every value, fold by fold: sample ``i`` of all is of fold ``i % folds``."""
    first = 0
    for values in run_with(model, names, feeds, only=True) if names else ():
        for name in names:
            for fold in range(folds):
                found = np.abs(values[name][(fold - first) % folds :: folds])
                if found.size:
                    yield name, fold, found
        first += len(values[names[0]])


def _best_reach(counts: F64, tops: F64, norm: float) -> float:
    """Multiple of the largest value at which clipping and rounding together cost the folds least.

    Args:
        counts: Histogram of every fold from 0 to the largest of ``tops``, ``[folds, bins]``.
        tops: Largest value of every fold.
        norm: Power of the errors.
    """
    middles = (np.arange(BINS) + 0.5) / BINS * tops.max()
    costs = np.zeros(len(REACHES))
    filled = [fold for fold in range(len(tops)) if counts[fold].any()]
    for fold in filled:
        others = max((tops[one] for one in filled if one != fold), default=tops[fold])
        steps = REACHES[:, None] * others / TOP
        errors = np.abs(middles - np.minimum(np.rint(middles / steps), TOP) * steps) ** norm @ counts[fold]
        costs += errors / max(float(errors.min()), 1e-30)
    return float(REACHES[int(np.argmin(costs))])


# -- weights -------------------------------------------------------------------------------------------------------


def round_layers(
    prepared: ir.Model,
    original: ir.Model,
    chosen: frozenset[str],
    feeds: Sequence[Feeds],
    step: Callable[[], None] = lambda: None,
) -> ir.Model:
    """``prepared`` with int8 weights, each layer compensating its own rounding errors.

    Args:
        prepared: :func:`with_activations` of ``original``.
        original: Float model in which the layers' inputs are observed.
        chosen: Names of the weights.
        feeds: Calibration samples.
        step: Called once a layer.
    """
    scales: dict[str, list[F32]] = {}

    def change(layer: Layer, weights: F32, factor: F32) -> F32:
        scale = weight_scales(weights)
        if layer.weight not in scales:
            step()
        scales.setdefault(layer.weight, []).append(scale)
        return rounded(weights, factor, lambda column, index: _on_grid(column, scale))

    lowered = ChangeLayers(change, moments_of(original, feeds), chosen)(prepared).model
    names = graph.FreshNames(lowered)
    for layer in layers_of(lowered):
        if layer.weight in scales:
            _store(lowered, layer, np.concatenate(scales[layer.weight]), names)
    return lowered


def weight_scales(weights: F32) -> F32:
    """Scale of every row of ``weights [out, k]``, by least squared error."""
    largest = np.maximum(np.abs(weights).max(1), np.float32(1e-12))
    best, least = largest / TOP, np.full(len(weights), np.inf)
    for clip in WEIGHT_CLIPS:
        scale = (largest * np.float32(clip) / TOP).astype(np.float32)
        error = np.square(weights - np.clip(np.rint(weights / scale[:, None]), -TOP, TOP) * scale[:, None]).sum(1)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return np.asarray(best, np.float32)


def _on_grid(column: F32, scale: F32) -> F32:
    return np.asarray(np.clip(np.rint(column / scale), -TOP, TOP) * scale)


def _store(model: ir.Model, layer: Layer, scale: F32, names: graph.FreshNames) -> None:
    """The weight as int8 behind a DequantizeLinear along its output channels."""
    whole = read_weight(model, layer.weight)
    axis = 1 if layer.is_transposed else 0
    shape = [1] * whole.ndim
    shape[axis] = -1
    levels: Array = np.clip(np.rint(whole / scale.reshape(shape)), -TOP, TOP).astype(np.int8)
    parts = {"quantized": levels, "scale": scale, "zero_point": np.zeros(len(scale), np.int8)}
    inputs = [add_weight(model, f"{layer.weight}_{kind}", one, names) for kind, one in parts.items()]
    restore = ir.node("DequantizeLinear", inputs, {"axis": axis}, name=names(f"{layer.weight}_DequantizeLinear"))
    restore.outputs[0].name = names(f"{layer.weight}_dequantized")
    restore.meta[QUANTIZED] = layer.weight
    model.graph.insert_before(layer.node, restore)
    layer.node.replace_input_with(1, restore.outputs[0])
    del model.graph.initializers[layer.weight]
