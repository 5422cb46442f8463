"""How far channels are equalized and which rule makes ranges: tried on samples, judged by the answers to other ones.

    float model ──► equalized by 1, 2, 4, 32 ──► ranges by each rule ──► activations quantized ──► divergence of answers

Weights stay float meanwhile: they lose little. Where nothing else is clearly better by the divergence of the answers,
the first rule is taken, with the extent of up to 4 that has the least squared error of the outputs: divergences of few
samples hang on the one or two answers that are close, squared errors on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.passes.activation_ranges import ACROSS_FOLDS, FOLDS, RULES, TOP, Magnitudes, magnitudes_of, ranges_of
from splitc.passes.answer_judge import AnswerJudge, Loss
from splitc.passes.base import PassResult
from splitc.passes.edit_weights import add_weight
from splitc.passes.equalize import Equalize
from splitc.passes.layers import layers_of
from splitc.types import Feeds

EXTENTS = (1.0, 2.0, 4.0, 32.0)
"""Largest factors by which channels may be stretched, in ascending order; each is tried."""
USUAL_EXTENT = 4.0
CLEARLY_BETTER = 0.5
"""Divergence, as a share of the usual choice's, below which another is taken: less of a gain may be chance."""
MAX_JUDGES = 32
FEW = 32
"""Of fewer samples every second one judges, of more every fourth."""


class Choice(NamedTuple):
    """An equalized float model, and the rule that its ranges are to be made by."""

    equal: PassResult
    rule: str


class _Tried(NamedTuple):
    loss: Loss
    extent: float
    rule: str


def _best(tried: Iterable[_Tried]) -> _Tried:
    return min(tried, key=lambda one: one.loss.divergence)


def _usual(tried: Iterable[_Tried]) -> _Tried:
    usual = (one for one in tried if one.rule == ACROSS_FOLDS and one.extent <= USUAL_EXTENT)
    return min(usual, key=lambda one: one.loss.error)


def choose_quantization(
    model: ir.Model, chosen: frozenset[str], feeds: Sequence[Feeds], judge: AnswerJudge | None = None
) -> Choice:
    """The model equalized as far as it pays on samples that it was not equalized on, and the rule that pays there.

    A few samples do not show how far a channel reaches; stretched to what they show, it is clipped later. So everything
    is tried on some samples and judged on the others. With fewer than four there is nothing to judge by: then nothing
    is equalized, and the first rule is taken.

    Args:
        model: In float.
        chosen: Names of the weights whose layers are to be quantized.
        feeds: Calibration samples.
        judge: Of answers; None: the squared error of the outputs.
    """
    fitted, held = parted(feeds)
    if not held:
        note = f"no channels equalized: fewer than {FOLDS} samples, none to judge by"
        return Choice(PassResult(model, False, (note,)), ACROSS_FOLDS)
    judged = (judge or AnswerJudge()).losses(model, held)
    tried = _tried(_Trial(model, chosen, fitted, judged))
    best, usual = _best(tried), _usual(tried)
    if not best.loss.divergence < CLEARLY_BETTER * usual.loss.divergence:
        best = usual
    note = f"ranges: {best.rule}, of {len(tried)} ways that were judged on {len(held)} held-out samples"
    if best.extent == 1.0:
        equal = PassResult(model, False, ("no channels equalized: it does not pay on held-out samples", note))
    else:
        result = Equalize(feeds, best.extent)(model)
        equal = PassResult(result.model, result.changed, (*result.notes, note))
    return Choice(equal, best.rule)


def parted(feeds: Sequence[Feeds]) -> tuple[list[Feeds], Sequence[Feeds]]:
    """Samples that fit, and samples that judge; of fewer than four, none judge."""
    every = FOLDS // 2 if FOLDS <= len(feeds) < FEW else FOLDS
    fitted = [one for index, one in enumerate(feeds) if index % every != every - 1]
    return fitted, feeds[every - 1 :: every][:MAX_JUDGES]


class _Equalized(NamedTuple):
    """An equalized float model, and what its layers read on the samples that fit."""

    model: ir.Model
    seen: Mapping[str, Magnitudes]


@dataclass(frozen=True, eq=False)
class _Trial:
    """A float model whose activations are quantized in one way and another, on samples, and judged."""

    model: ir.Model
    chosen: frozenset[str]
    fitted: Sequence[Feeds]
    judged: Callable[[ir.Model], Loss]

    def equalized(self, extent: float) -> _Equalized | None:
        """The model with channels stretched by up to ``extent``; None where that changes nothing."""
        found = PassResult(self.model, True) if extent == 1.0 else Equalize(self.fitted, extent)(self.model)
        if not found.changed:
            return None
        return _Equalized(
            found.model, magnitudes_of(found.model, read_by(found.model, self.chosen), self.fitted, FOLDS)
        )

    def costs(self, equal: _Equalized, extent: float, rules: Iterable[str]) -> Iterator[_Tried]:
        """Of each rule, on one record of the values."""
        for rule in rules:
            lowered = with_activations(equal.model, ranges_of(equal.seen, RULES[rule]), self.chosen)
            yield _Tried(self.judged(lowered), extent, rule)


def _tried(trial: _Trial) -> list[_Tried]:
    """Every extent with the first rule, then the others with the best extent of all and with the best usual one."""
    found: list[_Tried] = []
    kept: dict[float, _Equalized] = {}
    for extent in EXTENTS:
        if (equal := trial.equalized(extent)) is not None:
            found += trial.costs(equal, extent, [ACROSS_FOLDS])
            best = {_best(found).extent, _usual(found).extent}
            kept = {one: model for one, model in {**kept, extent: equal}.items() if one in best}
    for extent, equal in sorted(kept.items()):
        found += trial.costs(equal, extent, [name for name in RULES if name != ACROSS_FOLDS])
    return found


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
