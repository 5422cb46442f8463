"""The work of each node: its kind, operations, weights and elements moved.

Backends compute an activation, a batch normalization or a residual sum together with the convolution or product before
it. So does this list: such a node belongs to the group of its leader, which carries the work of all.

    Conv ──► BatchNormalization ──► Add ──► Relu          one group, led by Conv
                           (residual) ──▲

A node that runs no arithmetic and moves nothing (a reshape, a constant) has no work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from splitc.graph.cost.boundaries import uses_of
from splitc.graph.cost.flops import ELEMENTWISE, PER_ELEMENT, node_flops
from splitc.graph.model import Model
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import dims_of, elements_of, parameters_of

FOLLOWERS = frozenset(
    {"BatchNormalization", "Add", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"}
)
"""Computed together with the leader before them."""
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Constant", "Dropout", "Cast"})
MATRIX = frozenset({"Gemm", "MatMul", "Einsum", "Attention", "LSTM", "GRU", "RNN"})


@dataclass(frozen=True)
class Work:
    """The work of one node, or of its whole group when it leads one.

    Attributes:
        value: First output of the node; names it in profiles.
        kind: conv, conv-pointwise, conv-depthwise, conv3d..., matrix, pool, normalize, elementwise, move or none.
        flops: 2 per multiply-accumulate.
        weights: Elements of the initializers read.
        moved: Elements of activations read and written.
        leader: Position of the node that leads the group; its own, when it does.
    """

    value: str
    kind: str
    flops: int
    weights: int
    moved: int
    leader: int


def work_of(model: Model) -> tuple[Work, ...]:
    """The work of every node, in topological order; dynamic dimensions count as 1. Linear time."""
    flow = model.flow
    live = uses_of(flow).made
    leaders = _leaders(flow)
    groups: dict[int, list[int]] = {}
    for index, leader in enumerate(leaders):
        groups.setdefault(leader, []).append(index)
    return tuple(
        _group_work(flow, groups[index])
        if index in groups and any(value in live for value in node.outputs)
        else Work(_value(node), "none", 0, 0, 0, leaders[index])
        for index, node in enumerate(flow.nodes)
    )


def _leaders(flow: Flow) -> list[int]:
    """Position of each node's leader."""
    leaders: list[int] = []
    for index, node in enumerate(flow.nodes):
        leader = index
        if node.op_type in FOLLOWERS:
            before = [flow.position[maker] for maker in map(_maker, node.inputs) if maker is not None]
            able = [leaders[one] for one in before if _can_take(flow, leaders[one], flow.nodes[one])]
            leader = max(able, default=index)
        leaders.append(leader)
    return leaders


def _can_take(flow: Flow, leader: int, last: ir.Node) -> bool:
    """Whether the group of ``leader``, which ends in ``last`` so far, can take one more node."""
    kind = _kind(flow.nodes[leader])
    return (kind.startswith("conv") or kind == "matrix") and flow.readers[last.outputs[0]] == 1


def _group_work(flow: Flow, group: Sequence[int]) -> Work:
    nodes = [flow.nodes[index] for index in group]
    made = {value for node in nodes for value in node.outputs}
    kind = _kind(nodes[0])
    read = {value for index in group for value in flow.reads[index] if value not in made}
    data = [value for value in read if value in flow.varying]
    moved = 0 if kind == "none" else sum(map(_size, data)) + sum(map(_size, nodes[-1].outputs))
    weights = sum(parameters_of(value) for value in read if value.is_initializer())
    return Work(_value(nodes[0]), kind, sum(map(node_flops, nodes)), weights, moved, group[0])


def _kind(node: ir.Node) -> str:
    """A name under which similar nodes take similar time for the same work."""
    name = node.op_type
    if "Conv" in name:
        return _conv_kind(node)
    if name in MATRIX or "MatMul" in name:
        return "matrix"
    if name in VIEWS:
        return "none"
    if "Pool" in name or name.startswith("Reduce"):
        return "pool"
    if name in ELEMENTWISE:
        return "elementwise"
    return "normalize" if name in PER_ELEMENT else "move"


def _conv_kind(node: ir.Node) -> str:
    weight = dims_of(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if weight is None or len(weight) < 3:
        return "conv"
    plain = "conv" if len(weight) < 5 else "conv3d"
    if node.attributes.get_int("group", 1) > 1:
        return f"{plain}-depthwise" if weight[1] == 1 else f"{plain}-grouped"
    return f"{plain}-pointwise" if all(size == 1 for size in weight[2:]) else plain


def _size(value: ir.Value) -> int:
    dims = dims_of(value)
    return 0 if dims is None else elements_of(dims)


def _maker(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _value(node: ir.Node) -> str:
    return (node.outputs[0].name if node.outputs else None) or node.name or ""
