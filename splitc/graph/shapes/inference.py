"""Shapes: apply the user's, infer the rest, weights unread."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from splitc.errors import GraphError
from splitc.graph.shapes.arithmetic import can_fold, fold_shape_arithmetic
from splitc.graph.shapes.gaps import fill_gaps
from splitc.graph.shapes.weightless import contradicted, infer_once
from splitc.graph.values.flow import subgraphs
from splitc.graph.values.names import values_of
from splitc.graph.values.tensors import is_sequence
from splitc.registry import nearest
from splitc.types import Shape

MAX_ROUNDS = 6
"""Each round lets shapes found in the last one become constants; deeper chains stay symbolic."""


SEQUENCE_OPS = frozenset(
    {
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceInsert",
        "SequenceErase",
        "SequenceMap",
        "SplitToSequence",
        "ZipMap",
    }
)


def bind_inputs(graph: ir.Graph, shapes: Mapping[str, Shape], label: str) -> None:
    """Fix or name dynamic dimensions of inputs, in every value that shows them.

    Raises:
        GraphError: Unknown input, other rank, or a fixed dimension contradicted.
    """
    inputs = {value.name or "": value for value in graph.inputs}
    renamed: dict[str, int | str] = {}
    for name, dims in shapes.items():
        if name not in inputs:
            raise GraphError(f"{label}: no input is called {name!r}.{nearest(name, list(inputs))}")
        _bind_one(inputs[name], dims, renamed, f"{label}: input {name!r}")
    if renamed:
        for value in values_of(graph):
            _substitute(value, renamed)


def infer(model: ir.Model) -> None:
    """Write inferred types and shapes into the values of ``model``; unknown ones stay None.

    Inference runs on a copy whose shape arithmetic is folded as far as it is constant: exporters spell paddings
    and reshapes as a dozen integer nodes, which plain inference does not see through. A graph without any is not
    copied. A declared shape that contradicts what is inferred without it gives way: ONNX Runtime warns of it, and runs.
    """
    scratch = model.clone() if can_fold(model.graph) else model
    declared: dict[ir.Value, ir.Shape | None] = {value: value.shape for node in scratch.graph for value in node.outputs}
    for number in range(MAX_ROUNDS):
        _restore(declared)
        if not infer_once(scratch) and number == 0:
            _restore(declared)
            declared.update(dict.fromkeys(contradicted(scratch)))
            _restore(declared)
            infer_once(scratch)
        learned = fill_gaps(scratch.graph)
        declared.update(learned)
        if not fold_shape_arithmetic(scratch) and not learned:
            break
    _mark_sequences(scratch.graph)
    if scratch is model:
        return
    found = {value.name or "": value for value in values_of(scratch.graph)}
    for value in values_of(model.graph):
        source = found.get(value.name or "")
        if source is None or not value.name:
            continue
        value.type = value.type if source.type is None else source.type
        if source.shape is not None or is_sequence(source):
            value.shape = None if source.shape is None else ir.Shape(source.shape)


def _restore(declared: Mapping[ir.Value, ir.Shape | None]) -> None:
    for value, shape in declared.items():
        value.shape = shape


def _mark_sequences(graph: ir.Graph) -> None:
    """onnx-ir writes down the element type of a sequence as if it were a tensor's; say what it is."""
    for node in graph:
        for body in subgraphs(node):
            _mark_sequences(body)
        carried = {index for body in subgraphs(node) for index, value in enumerate(body.outputs) if is_sequence(value)}
        shift = 1 if node.op_type == "Loop" else 0  # the first output of a Loop body is its condition
        for index, value in enumerate(node.outputs):
            passed_on = node.op_type == "Identity" and any(one is not None and is_sequence(one) for one in node.inputs)
            if node.op_type in SEQUENCE_OPS or index + shift in carried or passed_on:
                value.type, value.shape = ir.SequenceType(ir.TensorType(value.dtype or ir.DataType.UNDEFINED)), None


def _bind_one(value: ir.Value, dims: Shape, renamed: dict[str, int | str], where: str) -> None:
    if value.shape is None:
        value.shape = ir.Shape(dims)
        return
    if len(value.shape) != len(dims):
        raise GraphError(f"{where} has {len(value.shape)} dimensions in the model, the given shape {len(dims)}.")
    bound: list[int | str] = []
    for axis, (old, new) in enumerate(zip(value.shape, dims, strict=True)):
        symbol = None if isinstance(old, int) else old.value
        if isinstance(old, int) and old != new:
            raise GraphError(f"{where}: dimension {axis} is {old} in the model and cannot be {new!r}; give {old}.")
        if symbol is not None and renamed.setdefault(symbol, new) != new:
            raise GraphError(f"{where}: dimension {symbol!r} is given both as {renamed[symbol]!r} and as {new!r}.")
        bound.append(new)
    value.shape = ir.Shape(bound)


def _substitute(value: ir.Value, renamed: Mapping[str, int | str]) -> None:
    if value.shape is None or value.shape.is_static():
        return
    dims = (dim if isinstance(dim, int) else renamed.get(dim.value or "", dim) for dim in value.shape)
    value.shape = ir.Shape(list(dims))
