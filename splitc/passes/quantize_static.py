"""INT8 as static Q/DQ: ranges from samples, weights rounded so that each layer's outputs stay what they were.

    equalize ──► Q/DQ before every layer ──► round the weights ──► int8 weights and DQ ──► correct the biases

Symmetric, zero point 0, activations with one scale a tensor, weights with one an output channel, biases in float:
what TensorRT 10, 11 and TensorRT-RTX parse. No labels, no training.

Which layers share a range. A value has one range and one Q/DQ pair, and all layers that read it share them: an engine
then quantizes the tensor once and keeps one INT8 copy. Layers that read different values share nothing.

How far channels are equalized and which rule makes the ranges is decided by the answers to samples
(:mod:`splitc.passes.quantization_choice`): networks differ in what helps them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.activation_ranges import FOLDS, RULES, TOP, magnitudes_of, ranges_of
from splitc.passes.activations import rows_of
from splitc.passes.align_outputs import AlignOutputs
from splitc.passes.answer_judge import AnswerJudge
from splitc.passes.base import PassResult, require_sound
from splitc.passes.change_layers import ChangeLayers, moments_of
from splitc.passes.correct_biases import CorrectBiases
from splitc.passes.edit_weights import add_weight, read_weight
from splitc.passes.layers import Layer, layers_of
from splitc.passes.lift_layers import QUANTIZED
from splitc.passes.quantization_choice import choose_quantization, read_by, with_activations
from splitc.passes.quantized_before import quantized_before, reads_dequantized
from splitc.types import F32, Array, Feeds
from splitc.weights import rounded

WEIGHT_CLIPS = np.linspace(0.7, 1.0, 13)
MAX_MOMENT_SAMPLES = 64
"""Samples that weights are rounded and biases corrected on; ranges are taken from all."""
NOTHING = "no convolution and no product in float"
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
        judge: Of answers; None: the squared error of the outputs.
        alone: Correct each bias by its own layer's error, so that it stays right when other layers return to float;
            else in order, each on what the layers before it make, and for them too.
    """

    name: ClassVar[str] = "quantize_static"
    feeds: Sequence[Feeds] = field(repr=False)
    keep_float: frozenset[str] = frozenset()
    step: Callable[[], None] = lambda: None
    judge: AnswerJudge | None = None
    alone: bool = False

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: The opset is too old for a DequantizeLinear with an axis."""
        chosen = _quantizable(model, self.keep_float)
        before = [note for note in (quantized_before(model),) if note]
        if not chosen:
            return PassResult(model, False, (*before, f"nothing to quantize: {NOTHING}"))
        if model.opset_imports.get("", FIRST_OPSET) < FIRST_OPSET:
            version = model.opset_imports.get("")
            raise GraphError(f"INT8: opset {version} has no DequantizeLinear with an axis; use precision fp32.")
        equal, rule = choose_quantization(model, chosen, self.feeds, self.judge)
        self.step()
        seen = magnitudes_of(equal.model, read_by(equal.model, chosen), self.feeds, FOLDS)
        ranges = ranges_of(seen, RULES[rule])
        rounding = _with_ranges(equal.model, chosen, ranges)
        self.step()
        prepared = with_activations(equal.model, ranges, rounding)
        lowered = round_layers(prepared, equal.model, rounding, self.feeds[:MAX_MOMENT_SAMPLES], self.step)
        for _ in chosen - rounding:
            self.step()
        corrected = self._corrected(equal.model, lowered, rounding)
        self.step()
        require_sound(corrected.model, f"pass {self.name!r}")
        finite = [name for name, reach in ranges.items() if np.isfinite(reach)]
        notes = (
            *before,
            f"INT8 Q/DQ: {len(finite)} activations quantized on {_count(self.feeds)} samples",
            *equal.notes,
            *_endless(ranges),
            f"{len(rounding)} layers rounded, {len(layers_of(model)) - len(rounding)} kept in float",
            *corrected.notes,
        )
        return PassResult(corrected.model, True, notes, equal.model)

    def _corrected(self, original: ir.Model, lowered: ir.Model, rounding: frozenset[str]) -> PassResult:
        some = self.feeds[:MAX_MOMENT_SAMPLES]
        if self.alone:
            return CorrectBiases(original, some)(lowered)
        floats = [layer.node.outputs[0].name or "" for layer in layers_of(original) if layer.weight not in rounding]
        return AlignOutputs(original, some, spared=frozenset(floats))(lowered)


def _quantizable(model: ir.Model, keep_float: Collection[str]) -> frozenset[str]:
    """Weights of the float layers that are to be quantized."""
    layers = [layer for layer in layers_of(model) if not reads_dequantized(layer)]
    return frozenset(layer.weight for layer in layers) - frozenset(keep_float)


def _with_ranges(model: ir.Model, chosen: frozenset[str], ranges: Mapping[str, float]) -> frozenset[str]:
    """The layers whose inputs have a finite range."""
    layers = [layer for layer in layers_of(model) if layer.weight in chosen]
    return frozenset(layer.weight for layer in layers if np.isfinite(ranges[layer.input.name or ""]))


def _endless(ranges: Mapping[str, float]) -> list[str]:
    """What is said of values without a finite range."""
    names = [repr(name) for name, reach in ranges.items() if not np.isfinite(reach)]
    return [f"layers that read {', '.join(names)} stay float: NaN or infinities on calibration samples"] * bool(names)


def steps_of(model: ir.Model, keep_float: frozenset[str] = frozenset()) -> int:
    """How often :attr:`QuantizeStatic.step` is called for ``model``."""
    chosen = _quantizable(model, keep_float)
    return 3 + len(chosen) if chosen else 0


def _count(feeds: Sequence[Feeds]) -> int:
    return sum(map(rows_of, feeds))


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
