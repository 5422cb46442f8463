"""Layers that INT8 leaves alone because of where they stand: at the end of a network, behind probabilities, or fixed.

1. *Decoding*: what stands behind the last layers that training filled turns numbers into pixels and shares. Its own
   layers have fixed weights, such as the expectation 0..15 of a distribution over box edges (DFL), or read what a
   Softmax or a Sigmoid made: eight bits of a probability are not enough.
2. *Last layers*: their outputs are compared with thresholds, and a step of INT8 moves many across. They are few.

Q/DQ is only ever inserted before the input of a layer: nothing else is quantized, so neither is the inside of SiLU.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from splitc import graph
from splitc.passes.edit_weights import read_weight
from splitc.passes.layers import Layer, layers_of

PROBABILITIES = ("Softmax", "Sigmoid", "HardSigmoid")
MOVING = ("Transpose", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Identity")
"""Operators that only move values."""
FIXED = "its weights are fixed, not trained"
BEHIND = "it reads probabilities"
LAST = "no trained layer follows"


def output_layers(model: ir.Model, rest: ir.Model | None = None, *, with_last: bool = True) -> dict[str, str]:
    """Layers to leave in float, by name of their weight, and why.

    Args:
        model: A float network, or its head.
        rest: What follows the model, whose inputs have the names of the model's outputs; None: nothing does.
        with_last: Whether the last trained layers count.
    """
    layers = {layer.node: layer for layer in layers_of(model)}
    found = {layer.weight: reason for layer in layers.values() if (reason := _untrained(model, layer))}
    if not with_last:
        return found
    trained = {node for node, layer in layers.items() if layer.weight not in found}
    ahead = _before_trained(rest) if rest is not None else set()
    leading = _leading(model, trained, ahead)
    return found | {layer.weight: LAST for node, layer in layers.items() if node in trained and node not in leading}


def layer_names(model: ir.Model, reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason -> names of the nodes of the layers that it holds for, in the order of the graph."""
    found: dict[str, list[str]] = {}
    for layer in layers_of(model):
        if layer.weight in reasons:
            found.setdefault(reasons[layer.weight], []).append(layer.node.name or layer.weight)
    return found


def _untrained(model: ir.Model, layer: Layer) -> str:
    if is_fixed(model, layer):
        return FIXED
    return BEHIND if _reads_probabilities(layer.input) else ""


def is_fixed(model: ir.Model, layer: Layer) -> bool:
    """Whether the weights are whole numbers in even steps, or all one value: nothing that training makes."""
    weight = read_weight(model, layer.weight).astype(np.float64).ravel()
    if weight.size < 2:
        return False
    steps = np.diff(weight)
    is_even = bool((steps == steps[0]).all())
    return is_even and (steps[0] == 0 or bool((weight == np.rint(weight)).all()))


def _reads_probabilities(value: ir.Value) -> bool:
    todo, seen = [value], {value}
    while todo:
        node = todo.pop().producer()
        if node is None:
            continue
        if node.op_type in PROBABILITIES:
            return True
        if node.op_type in MOVING:
            read = node.inputs if node.op_type == "Concat" else node.inputs[:1]
            fresh = [one for one in read if one is not None and one not in seen]
            seen.update(fresh)
            todo += fresh
    return False


def _before_trained(rest: ir.Model) -> set[str]:
    """Names of the inputs of ``rest`` that a trained layer follows."""
    trained = {layer.node for layer in layers_of(rest) if not _untrained(rest, layer)}
    seen = _ancestors([value for node in trained for value in node.inputs if value is not None])
    return {value.name or "" for value in rest.graph.inputs if value in seen}


def _leading(model: ir.Model, trained: set[ir.Node], ahead: set[str]) -> set[ir.Node]:
    """Nodes that a trained layer follows, in the model or in what comes after it."""
    ends = [value for node in trained for value in node.inputs if value is not None]
    ends += [value for value in model.graph.outputs if value.name in ahead]
    return {node for value in _ancestors(ends) if (node := value.producer()) is not None}


def _ancestors(values: list[ir.Value]) -> set[ir.Value]:
    """The values and all that they are computed from, in the top graph; a branch computes from what it captures."""
    todo, seen = list(values), set(values)
    while todo:
        node = todo.pop().producer()
        fresh = [one for one in graph.reads_of(node) if one not in seen] if node is not None else []
        seen.update(fresh)
        todo += fresh
    return seen
