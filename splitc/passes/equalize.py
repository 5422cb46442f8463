"""Give all channels of an activation similar ranges, so that one scale suits the whole tensor.

1. Channel c of what some layers make is multiplied by s, and the weights that read it divided by s, wherever it passes
   only what treats channels apart and keeps a positive factor: Relu, LeakyRelu, PRelu, pooling, Resize, Add. A residual
   stream is one group: all layers that add to it and all that read it. Nothing is inserted, so engines fuse as before.
2. Behind Clip(0, high), s brings the channel's largest calibrated value to the clip: what calibration never saw is cut
   there. Elsewhere s makes up for how much smaller the channel is than the largest one, of all values of the group.
3. Depthwise layers take the whole of s: their weights have a scale for each channel, so it costs them nothing. Others
   take the root: weights share the burden, and values that calibration never saw have room.

Source: Nagel et al. 2019 (cross-layer equalization); Xiao et al. 2023 (SmoothQuant: half the burden each); residual
streams as one group, and keeping ReLU6 by using its clip, are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
import onnx_ir as ir

from splitc.passes.activations import run_with
from splitc.passes.base import PassResult
from splitc.passes.edit_weights import put_bias, put_weight, read_weight
from splitc.passes.layers import Layer, layers_of
from splitc.types import F64, Array, Feeds

MOST = 4.0
PASSING = (
    "Relu",
    "LeakyRelu",
    "PRelu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Resize",
    "Identity",
    "Clip",
    "Add",
)
"""Operators that treat channels apart and keep positive factors; of Clip where it starts at 0."""


class Group(NamedTuple):
    """Values whose channels share their factors, the layers that make them and those that read them.

    ``high`` is the end of the Clip(0, high) among them, if there is one; ``names`` are those that factors are made of.
    """

    makers: tuple[Layer, ...]
    readers: tuple[Layer, ...]
    names: tuple[str, ...]
    values: tuple[str, ...]
    high: float | None


@dataclass(frozen=True, eq=False)
class Equalize:
    """Equalize groups of layers, on ranges from samples.

    Attributes:
        feeds: Calibration samples.
        most: Channels are stretched by at most this. With more, values that calibration did not see are clipped often.
    """

    name: ClassVar[str] = "equalize"
    feeds: Sequence[Feeds] = field(repr=False)
    most: float = MOST

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises nothing; a model without such groups is left as it is."""
        changed = model.clone()
        groups = list(_groups(changed))
        largest: dict[str, F64] = {}
        names = list(dict.fromkeys(name for group in groups for name in group.values))
        for values in run_with(model, names, self.feeds, only=True) if groups else ():
            for name in names:
                found = np.abs(np.moveaxis(values[name], 1, 0)).reshape(values[name].shape[1], -1).max(1)
                largest[name] = np.maximum(largest.get(name, np.zeros(len(found))), found)
        fitting = [group for group in groups if _is_fitting([largest[name] for name in group.values])]
        for group in fitting:
            _scale(changed, group, _factors(group, largest, self.most))
        return PassResult(changed, bool(fitting), (f"equalized {len(fitting)} groups of layers",))


def _is_fitting(largest: Sequence[F64]) -> bool:
    """Whether values of a group have the same channels, and finite ones."""
    return len({len(one) for one in largest}) == 1 and all(np.isfinite(one).all() for one in largest)


def _factors(group: Group, largest: Mapping[str, F64], most: float) -> F64:
    """What each channel is multiplied by, ``[channels]``, 1 to ``most``."""
    ranges = [np.maximum(largest[name], 1e-12) for name in group.names]
    is_depthwise = all(layer.groups == len(ranges[0]) > 1 for layer in group.readers)
    if group.high is not None:
        whole = np.clip(group.high / np.max(ranges, axis=0), 1.0, most)
        return np.asarray(whole if is_depthwise else np.sqrt(whole), np.float64)
    smaller = np.mean([np.log(found.max() / found) for found in ranges], axis=0)
    return np.asarray(np.clip(np.exp(smaller if is_depthwise else smaller / 2), 1.0, most), np.float64)


def _scale(model: ir.Model, group: Group, factors: F64) -> None:
    for maker in group.makers:
        weight = read_weight(model, maker.weight)
        put_weight(model, maker, weight * _along(factors, weight.ndim, 1 if maker.is_transposed else 0))
        if maker.bias is not None:
            put_bias(model, maker, read_weight(model, maker.bias) * factors)
    for reader in group.readers:
        weight = read_weight(model, reader.weight)
        axis = 0 if reader.groups > 1 or reader.is_transposed else 1
        put_weight(model, reader, weight / _along(factors, weight.ndim, axis))


def _along(factors: F64, axes: int, axis: int) -> Array:
    shape = [1] * axes
    shape[axis] = -1
    return factors.reshape(shape)


# -- groups --------------------------------------------------------------------------------------------------------


def _groups(model: ir.Model) -> Iterator[Group]:
    """Every set of values that are connected by passing operators and bounded by layers that can be scaled."""
    layers = {layer.node: layer for layer in layers_of(model)}
    for members in _connected(model):
        makers, readers = _ends(model, members, layers)
        highs = {_clip(node) for value in members if _is_clipped(value) and (node := value.producer()) is not None}
        if not makers or not readers or len(highs) > 1:
            continue
        read = tuple(dict.fromkeys(layer.input.name or "" for layer in readers))
        clipped = [value.name or "" for value in members if _is_clipped(value)]
        values = tuple(value.name or "" for value in members)
        yield Group(tuple(makers), tuple(readers), tuple(clipped) or read, values, next(iter(highs), None))


def _connected(model: ir.Model) -> list[list[ir.Value]]:
    """Values of the graph in sets that passing operators connect."""
    sets: dict[ir.Value, list[ir.Value]] = {}
    for node in model.graph:
        for value in node.outputs:
            sets[value] = [value]
        if not _passes(node):
            continue
        for read in _data(node):
            if read is not None and read in sets and sets[read] is not sets[node.outputs[0]]:
                joined = sets[read] + sets[node.outputs[0]]
                sets.update(dict.fromkeys(joined, joined))
    return list({id(one): one for one in sets.values()}.values())


def _passes(node: ir.Node) -> bool:
    if node.op_type == "Flatten":  # of one place a channel
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        return before is not None and before.op_type == "GlobalAveragePool" and node.attributes.get_int("axis", 1) == 1
    if node.op_type == "Clip":
        return _clip(node) is not None
    return node.op_type in PASSING


def _ends(
    model: ir.Model, members: Sequence[ir.Value], layers: Mapping[ir.Node, Layer]
) -> tuple[list[Layer], list[Layer]]:
    """Layers that make and read the members; none where anything else does."""
    makers, readers, inside = [], [], set(members)
    if inside & set(model.graph.outputs):
        return [], []
    for value in members:
        node = value.producer()
        if node is not None and node in layers and _can_make(layers[node]):
            makers.append(layers[node])
        elif node is None or not _passes(node) or not inside.issuperset(_data(node)):
            return [], []
        for reader, position in value.uses():
            if reader in layers and position == 0 and _can_read(model, layers[reader]):
                readers.append(layers[reader])
            elif not _passes(reader) or reader.outputs[0] not in inside or value not in _data(reader):
                return [], []
    return makers, readers


def _data(node: ir.Node) -> Sequence[ir.Value | None]:
    return node.inputs[: 2 if node.op_type == "Add" else 1]


def _can_make(layer: Layer) -> bool:
    """Whether the layer's output channels are on axis 1 and its bias, if any, is a constant."""
    bias = layer.node.inputs[2] if len(layer.node.inputs) > 2 else None
    return layer.node.op_type != "MatMul" and (bias is None or layer.bias is not None)


def _can_read(model: ir.Model, layer: Layer) -> bool:
    """Dense, or depthwise with one output a channel."""
    is_depthwise = layer.groups == read_weight(model, layer.weight).shape[0]
    return layer.node.op_type != "MatMul" and (layer.groups == 1 or is_depthwise)


def _is_clipped(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and node.op_type == "Clip"


def _clip(node: ir.Node) -> float | None:
    """The upper end of Clip(0, high)."""
    if node.op_type != "Clip" or len(node.inputs) < 3:
        return None
    ends = [_number(value) for value in node.inputs[1:3]]
    return ends[1] if ends[0] == 0 else None


def _number(value: ir.Value | None) -> float | None:
    """A constant of one element, of any rank."""
    tensor = value.const_value if value is not None else None
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None
