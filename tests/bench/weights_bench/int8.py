"""INT8 Q/DQ: how much each technique of the pass contributes, beside ONNX Runtime's own static quantization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from codec_bench.fidelity import F32, fidelity
from codec_bench.networks import BATCH, Network
from engines_bench.int8 import PAIRS, labels_of, ort_int8

from splitc import evaluate, graph, passes
from splitc.lowering import Demand, QuantizedPair, hold_out_judges, mix
from splitc.passes.activation_ranges import FOLDS, NORM, TOP, least_error, magnitudes_of, ranges_of
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import layers_of
from splitc.passes.quantization_choice import choose_quantization, read_by, with_activations
from splitc.passes.quantize_static import round_layers
from splitc.tasks import TASKS, BindRequest
from splitc.types import Feeds, TensorSpec
from weights_bench.rates import files_of, pictures

LEAST = 0.99
"""Agreement that the last row asks for."""


@dataclass(frozen=True)
class Int8Row:
    """A way to INT8, and what it does to answers on pictures that it was not calibrated on.

    ``expected``: agreement that the moves of the answers let expect, which chance moves less than the one measured.
    """

    network: str
    technique: str
    pictures: int
    top1: float
    agreement: float
    expected: float
    kl: float
    section: str = "int8"


def rows(network: Network, path: Path, calibration: int, evaluation: int) -> Iterator[Int8Row]:
    """One technique after another, each row with those before it; then layers in float."""
    inputs = pictures(network, calibration + evaluation)
    model = passes.prepare(graph.load(path).ir_model, in_graph=True).model
    name = model.graph.inputs[0].name or ""
    feeds: list[Feeds] = [{name: inputs[i : i + 1]} for i in range(calibration)]
    held = inputs[calibration:]
    reference = answers(graph.to_bytes(model), held)
    labels = labels_of(next(pair for pair in PAIRS if pair.network == network.name))
    classes = np.array([labels[file.name] for file in files_of(network, calibration + evaluation)[calibration:]])

    def row(technique: str, got: F32) -> Int8Row:
        found = fidelity(reference, got)
        expected = evaluate.expected_agreement(list(reference[:, None]), list(got[:, None]))
        top1 = float((got.argmax(1) == classes).mean())
        return Int8Row(network.name, technique, len(held), top1, found.agreement, expected, found.kl)

    yield row("float32", reference)
    with TemporaryDirectory() as scratch:
        yield row("ONNX Runtime, percentile", answers(ort_int8(path, Path(scratch), feeds).read_bytes(), held))
    for technique, lowered in _techniques(model, feeds):
        yield row(technique, answers(graph.to_bytes(lowered), held))
    technique, halves = _mixed(network, model, feeds)
    yield row(technique, answers(graph.to_bytes(halves.tail), answers(graph.to_bytes(halves.head), held)))


def _ranges(
    model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], norm: float = NORM, folds: int = FOLDS
) -> dict[str, float]:
    """Largest magnitudes of least error to the power ``norm``, across folds; with 1, on the samples themselves."""
    return ranges_of(magnitudes_of(model, names, feeds, folds), partial(least_error, norm=norm, folds=folds))


def _techniques(model: ir.Model, feeds: Sequence[Feeds]) -> Iterator[tuple[str, ir.Model]]:
    chosen = frozenset(layer.weight for layer in layers_of(model))
    names = read_by(model, chosen)
    near, equal = nearest(model), choose_quantization(model, chosen, feeds).equal.model
    largest = _ranges(model, names, feeds, norm=64, folds=1)
    yield "nearest weights; ranges to the largest value", with_activations(near, largest, chosen)
    squares = _ranges(model, names, feeds, norm=2, folds=1)
    yield "nearest weights; ranges of least squares on the samples", with_activations(near, squares, chosen)
    folds = _ranges(model, names, feeds)
    yield "nearest weights; ranges across folds", with_activations(near, folds, chosen)
    ranges = _ranges(equal, names, feeds)
    yield "... and equalized, residual streams as groups", with_activations(nearest(equal), ranges, chosen)
    rounded = round_layers(with_activations(equal, ranges, chosen), equal, chosen, feeds[:64])
    yield "... and rounding errors compensated", rounded
    corrected = passes.AlignOutputs(equal, feeds[:64])(rounded).model
    yield "... and biases corrected (the pass)", corrected
    first = frozenset({layers_of(model)[0].weight})
    yield "the pass, first layer in float", passes.LiftLayers(equal, first)(corrected).model


def _mixed(network: Network, model: ir.Model, feeds: Sequence[Feeds]) -> tuple[str, graph.Halves]:
    """What a build with ``gate.min_fidelity`` does, cut in the middle, without a codec."""
    (cut,) = [point.tensor for point in network.cuts if point.place == "middle"]
    exact = graph.split(graph.model_from_ir(model), [cut])
    fitted, held = ([feeds[index] for index in one] for one in hold_out_judges(len(feeds), len(feeds)))
    head = passes.QuantizeStatic(fitted)(exact.head)
    tail = passes.QuantizeStatic([{cut: answers(graph.to_bytes(head.model), one)} for one in map(_only, fitted)])(
        exact.tail
    )
    assert head.original is not None
    assert tail.original is not None
    lowered = replace(exact, head=head.model, tail=tail.model)
    originals = {"edge": head.original, "cloud": tail.original}
    (scores,) = exact.tail.graph.outputs
    assert scores.shape is not None
    output = TensorSpec(name=scores.name or "", dtype="float32", shape=("N", int(scores.shape[-1])))
    task = TASKS.make("classification", {"activation": "logits"}).bind(BindRequest([output]))
    demand = Demand(LEAST, (1 + LEAST) / 2)
    found = mix(QuantizedPair(exact, lowered, originals, held, fitted, task), demand, lambda: None)
    count = sum(one.precision == "fp32" for one in found.layers)
    return f"mixed for {LEAST} on held-out samples: {count} of {len(found.layers)} layers in float", found.halves


def _only(feeds: Feeds) -> F32:
    (array,) = feeds.values()
    return np.asarray(array, np.float32)


def nearest(model: ir.Model) -> ir.Model:
    """Weights on the grids of 255 levels that their largest magnitudes span, one an output channel."""
    changed = model.clone()
    for layer in layers_of(changed):
        whole = read_weight(changed, layer.weight)
        matrix = layer.matrix(whole)
        scale = np.maximum(np.abs(matrix).max(2, keepdims=True), 1e-12) / TOP
        put_weight(changed, layer, layer.weight_from(np.rint(matrix / scale) * scale, whole.shape))
    return changed


def answers(model: bytes, inputs: F32) -> F32:
    """Logits of the first output."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: inputs[i : i + BATCH]})[0] for i in range(0, len(inputs), BATCH)])
