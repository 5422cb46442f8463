"""Which axes of a value are its samples and its channels, read from the operators that lead to it.

Inputs have their samples on axis 0; a state ``[2, N, 128]`` on the axis that is called as other inputs' axis 0, or none
where it is fixed. Every operator moves the two roles along:

| Operator | Samples | Channels |
|---|---|---|
| convolution, pooling, batch and group normalization | 0 | 1 |
| MatMul and Gemm by weights, layer normalization, attention | of the input | last |
| LSTM, GRU, RNN | 2 of Y, 1 of Y_h | last |
| Transpose, Squeeze, Unsqueeze, Gather, reductions | moved | moved |
| Reshape | moved, where the sizes tell where to | likewise |
| any other | of its inputs, aligned from the right | likewise |

A role that an operator does not settle stays open; numbers may settle it (``splitc.codec.choose_channel_axis``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import onnx_ir as ir

from splitc.graph.values.tensors import dims_of
from splitc.types import USUAL_LAYOUT, Dim, Layout, Shape

CHANNEL_FIRST = frozenset(
    {
        *("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool", "MaxUnpool"),
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN"),
        *("Conv", "ConvInteger", "ConvTranspose", "DepthToSpace", "QLinearConv", "SpaceToDepth"),
    }
)
BY_WEIGHTS = frozenset(["Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"])
CHANNEL_LAST = frozenset(
    {
        *("Attention", "MultiHeadAttention"),
        *("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization"),
    }
)
RECURRENT = frozenset(["GRU", "LSTM", "RNN"])
NO_DATA = frozenset(["NonZero", "Shape", "Size"])
UNTOLD = frozenset(["Einsum", "If", "Loop", "OneHot", "Scan", "SequenceAt"])
"""Operators whose outputs' axes are not those of their inputs."""
PICTURE_CHANNELS = frozenset({1, 3})
"""Channels of an input that is a picture or a clip."""


@dataclass(frozen=True)
class Roles:
    """Axes of a value.

    Attributes:
        batch: Of its samples; None: not known, or gone.
        channel: Of its channels; None: not known.
        is_single: The samples' axis was removed: the value is one sample.
        is_inner: The samples' axis was merged with axes before it: time and samples in one, samples varying faster.
    """

    batch: int | None = None
    channel: int | None = None
    is_single: bool = False
    is_inner: bool = False

    def moved(self, place: Callable[[int], int | None]) -> Roles:
        """The same axes after an operator; ``place`` gives the new number of an old axis, None where it is gone."""
        batch = None if self.batch is None else place(self.batch)
        channel = None if self.channel is None else place(self.channel)
        is_single = self.is_single or (self.batch is not None and batch is None)
        return Roles(batch, channel, is_single, self.is_inner and batch is not None)


class CutLayout(NamedTuple):
    """The layout that a codec is to give a value.

    Attributes:
        layout: The axes.
        is_known: The graph tells them; else the channel axis is a guess, which the numbers may better.
    """

    layout: Layout
    is_known: bool


def axis_roles(graph: ir.Graph) -> dict[ir.Value, Roles]:
    """Roles of every value of a graph that depends on an input; linear time."""
    inputs = [value for value in graph.inputs if not value.is_initializer()]
    first = [shape[0] for value in inputs if (shape := dims_of(value))]
    samples: set[Dim] = {dim for dim in first if isinstance(dim, str)}
    samples = samples or set(first[:1])
    found = {value: _of_input(dims_of(value), samples) for value in inputs}
    for node in graph:
        known = [(value, found[value]) for value in node.inputs if value is not None and value in found]
        if not known or node.op_type in NO_DATA:
            continue
        for place, value in enumerate(node.outputs):
            found[value] = _of_output(node, place, known)
    return found


def layout_of(value: ir.Value, roles: Roles) -> CutLayout:
    """The layout that a codec is to give a value with these roles.

    Channels have a fixed size. Where none is known, the second axis or else the last of fixed size is the guess.
    """
    shape = dims_of(value) or ()
    if not shape:
        return CutLayout(USUAL_LAYOUT, True)
    batch = None if roles.is_single else min(roles.batch or 0, len(shape) - 1)
    fixed = [axis for axis, size in enumerate(shape) if isinstance(size, int) and axis != batch]
    if roles.channel in fixed:
        return CutLayout(_spelled(batch, roles.channel, len(shape)), True)
    guess = 1 if 1 in fixed else fixed[-1] if fixed else None
    return CutLayout(_spelled(batch, guess, len(shape)), len(fixed) <= 1)


def _spelled(batch: int | None, channel: int | None, rank: int) -> Layout:
    """A plain ``[N]`` has the usual layout."""
    return USUAL_LAYOUT if rank == 1 and batch == 0 else Layout(batch_axis=batch, channel_axis=channel)


def _of_input(shape: Shape | None, samples: Collection[Dim]) -> Roles:
    """Pictures and clips have their channels second, or last.

    Args:
        shape: Of the input.
        samples: What axis 0 is where it counts samples: names, or the first input's size.
    """
    if not shape:
        return Roles()
    if shape[0] not in samples:
        axis = next((axis for axis, dim in enumerate(shape) if isinstance(dim, str) and dim in samples), None)
        return Roles(axis, is_single=axis is None)
    if len(shape) in (4, 5):
        axes = [axis for axis in (1, len(shape) - 1) if shape[axis] in PICTURE_CHANNELS]
        return Roles(0, axes[0] if len(axes) == 1 else None)
    return Roles(0)


def _of_output(node: ir.Node, place: int, known: Sequence[tuple[ir.Value, Roles]]) -> Roles:
    kind, rank = node.op_type, len(dims_of(node.outputs[place]) or ())
    if node.outputs[place].shape is None or rank == 0 or kind in UNTOLD:
        return Roles()
    if kind in CHANNEL_FIRST:
        return Roles(0, 1)
    if kind in RECURRENT:
        return _recurrent(node, rank)
    if kind in BY_WEIGHTS | CHANNEL_LAST:
        return _channel_last(node, known, rank)
    if kind in MOVES:
        is_told = known[0][0] is node.inputs[0] or kind == "Gather"
        return MOVES[kind](node, known[0][1]) if is_told else Roles()
    return _aligned(known, rank)


def _recurrent(node: ir.Node, rank: int) -> Roles:
    """Y is ``[T, directions, N, C]`` and its last states ``[directions, N, C]``; with layout 1 samples come first."""
    return Roles(0 if _int(node, "layout", 0) else rank - 2, rank - 1)


def _channel_last(node: ir.Node, known: Sequence[tuple[ir.Value, Roles]], rank: int) -> Roles:
    """Products of two computed values have channels last where the right one has: attention's, but not its weights'."""
    roles = _aligned(known[:1], rank)
    if node.op_type in BY_WEIGHTS and known[0][0] is not node.inputs[0]:
        return replace(roles, channel=rank - 2 if rank > 1 else None)  # weights from the left
    if node.op_type in BY_WEIGHTS and len(known) > 1:
        value, right = known[1]
        is_last = right.channel is not None and right.channel == len(dims_of(value) or ()) - 1
        return replace(roles, channel=rank - 1 if is_last else None)
    return replace(roles, channel=rank - 1)


def _aligned(known: Sequence[tuple[ir.Value, Roles]], rank: int) -> Roles:
    """Of an operator that broadcasts: each role from the first input that has it."""
    shifted = []
    for value, roles in known:
        shift = rank - len(dims_of(value) or ())
        shifted.append(roles.moved(lambda axis, shift=shift: axis + shift if axis + shift >= 0 else None))  # type: ignore[misc]
    batch = next((roles.batch for roles in shifted if roles.batch is not None), None)
    channel = next((roles.channel for roles in shifted if roles.channel is not None), None)
    is_inner = next((roles.is_inner for roles in shifted if roles.batch is not None), False)
    return Roles(batch, channel, batch is None and any(roles.is_single for roles in shifted), is_inner)


def _transposed(node: ir.Node, roles: Roles) -> Roles:
    rank = len(dims_of(node.outputs[0]) or ())
    order = [*node.attributes.get_ints("perm", range(rank)[::-1])]
    return roles.moved(order.index)


def _squeezed(node: ir.Node, roles: Roles) -> Roles:
    shape = _shape(node)
    axes = _axes(node, len(shape)) or [axis for axis, size in enumerate(shape) if size == 1]
    return roles.moved(lambda axis: None if axis in axes else axis - sum(gone < axis for gone in axes))


def _unsqueezed(node: ir.Node, roles: Roles) -> Roles:
    rank = len(dims_of(node.outputs[0]) or ())
    new = _axes(node, rank)
    old = [axis for axis in range(rank) if axis not in new]
    return roles.moved(lambda axis: old[axis] if axis < len(old) else None)


def _gathered(node: ir.Node, roles: Roles) -> Roles:
    """Indices take the place of one axis; an embedding has its channels last."""
    data, indices = node.inputs[0], node.inputs[1]
    out = len(dims_of(node.outputs[0]) or ())
    if data is None or indices is None or dims_of(indices) is None:
        return Roles()
    if data.is_initializer():
        return replace(roles, channel=out - 1)
    axis, count = _int(node, "axis", 0) % max(len(_shape(node)), 1), len(dims_of(indices) or ())
    return roles.moved(lambda old: old if old < axis else old + count - 1 if old > axis else axis if count else None)


def _reduced(node: ir.Node, roles: Roles) -> Roles:
    if _int(node, "keepdims", 1):
        return roles
    rank = len(_shape(node))
    axes = _axes(node, rank) if node.op_type not in ("ArgMax", "ArgMin") else [_int(node, "axis", 0) % max(rank, 1)]
    gone = axes or list(range(rank))
    return roles.moved(lambda axis: None if axis in gone else axis - sum(one < axis for one in gone))


def _flattened(node: ir.Node, roles: Roles) -> Roles:
    axis, rank = _int(node, "axis", 1), len(_shape(node))
    return roles.moved(lambda old: 0 if old < axis % max(rank, 1) else 1)


def _reshaped(node: ir.Node, roles: Roles) -> Roles:
    """Equal sizes at both ends stay what they are; of what lies between, the first and the last keep their ends."""
    before, after = _shape(node), dims_of(node.outputs[0]) or ()
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    last = len(before) - 1 - end

    def place(axis: int) -> int | None:
        if axis < start:
            return axis
        if axis > last:
            return axis - len(before) + len(after)
        if len(after) == start + end:
            return None
        return start if axis == start and axis != last else len(after) - 1 - end if axis == last else None

    if start == last and roles.batch == start:  # the samples' axis alone is taken apart: samples come first, or last
        parts = range(start, len(after) - end)
        batch = None if not parts else parts[-1] if roles.is_inner else start
        return replace(roles.moved(place), batch=batch, is_inner=False)
    found = roles.moved(place)
    if roles.batch is None or not start <= roles.batch <= last:
        return found
    return replace(found, is_inner=start < last == roles.batch and len(after) == start + end + 1)


def _common(one: Sequence[Dim], other: Sequence[Dim]) -> int:
    """How many sizes the two begin with alike."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return count


REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
MOVES: Mapping[str, Callable[[ir.Node, Roles], Roles]] = {
    "ArgMax": _reduced,
    "ArgMin": _reduced,
    "Flatten": _flattened,
    "Gather": _gathered,
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
    **dict.fromkeys((f"Reduce{kind}" for kind in REDUCTIONS), _reduced),
}


def _shape(node: ir.Node) -> Shape:
    """Of the first input."""
    value = node.inputs[0]
    return () if value is None else dims_of(value) or ()


def _axes(node: ir.Node, rank: int) -> list[int]:
    """The axes that a node names, as an attribute or a constant input; none where they are computed."""
    named = [*node.attributes.get_ints("axes", ())]
    if not named and len(node.inputs) > 1 and node.inputs[1] is not None:
        tensor = ir.convenience.get_const_tensor(node.inputs[1])
        named = [] if tensor is None else [int(axis) for axis in tensor.numpy().ravel()]
    return [axis % max(rank, 1) for axis in named]


def _int(node: ir.Node, name: str, default: int) -> int:
    return node.attributes.get_int(name, default)
