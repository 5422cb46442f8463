"""Nodes of the way back, and one node of the way there with what pulls its outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from splitc.errors import GraphError
from splitc.graph import FreshNames
from splitc.types import Array

PREFIX = "gradient"
Attribute: TypeAlias = int | float | str | Sequence[int]
Pulls: TypeAlias = Mapping[int, ir.Value]
"""By number of an input of a node, what it is pulled by."""


class Builder:
    """Collects new nodes and constants.

    Args:
        names: Of the graph that they go into.
    """

    def __init__(self, names: FreshNames) -> None:
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self._names = names

    def op(self, kind: str, *inputs: ir.Value, **attributes: Attribute) -> ir.Value:
        """The output of a new node."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: ir.Value, **attributes: Attribute) -> Sequence[ir.Value]:
        """The outputs of a new node that has several."""
        label = f"{PREFIX}/{len(self.nodes)}_{kind}"
        node = ir.node(kind, inputs, attributes=attributes, num_outputs=count, name=self._names(label))
        for number, value in enumerate(node.outputs):
            value.name = self._names(f"{label}_out{number}")
        self.nodes.append(node)
        return node.outputs

    def constant(self, array: Array | float | Sequence[int]) -> ir.Value:
        """An initializer: float32, or int64 of whole numbers."""
        values = np.asarray(array)
        values = values.astype(np.float32 if values.dtype.kind == "f" else np.int64)
        name = self._names(f"{PREFIX}/constant_{len(self.constants)}")
        tensor = ir.Tensor(values, name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.constants.append(value)
        return value


@dataclass(frozen=True)
class BackStep:
    """One node on the way back.

    Attributes:
        node: Of the way there.
        pull: Of its first output.
        wanted: Numbers of the inputs whose pulls are asked for.
        build: Takes new nodes.
    """

    node: ir.Node
    pull: ir.Value
    wanted: frozenset[int]
    build: Builder

    @property
    def op(self) -> Callable[..., ir.Value]:
        """:meth:`Builder.op`."""
        return self.build.op

    @property
    def constant(self) -> Callable[..., ir.Value]:
        """:meth:`Builder.constant`."""
        return self.build.constant

    @property
    def y(self) -> ir.Value:
        """The first output."""
        return self.node.outputs[0]

    def x(self, index: int = 0) -> ir.Value:
        """An input."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            raise self.refusal(f"input {index} is missing")
        return value

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def shape(self, value: ir.Value) -> tuple[int, ...]:
        """Sizes of a value.

        Raises:
            GraphError: They are not all known.
        """
        sizes = None if value.shape is None else [dim for dim in value.shape if isinstance(dim, int)]
        if sizes is None or value.shape is None or len(sizes) != len(value.shape):
            raise self.refusal("sizes are open")
        return tuple(sizes)

    def number(self, index: int) -> Array:
        """A constant input.

        Raises:
            GraphError: It is none.
        """
        value = self.x(index)
        known = ir.convenience.get_const_tensor(value)
        if known is None:
            raise self.refusal(f"input {index} is no constant")
        return known.numpy()

    def attribute(self, name: str, default: Attribute) -> Attribute:
        """An attribute, or what its absence means."""
        found = self.node.attributes.get(name)
        if found is None:
            return default
        value: Attribute = found.value
        return value

    def whole(self, name: str, default: int) -> int:
        """An attribute that is one whole number."""
        value = self.attribute(name, default)
        assert isinstance(value, int), "checked with the graph"
        return value

    def wholes(self, name: str, default: Sequence[int]) -> list[int]:
        """An attribute that is a list of whole numbers."""
        value = self.attribute(name, default)
        assert isinstance(value, Sequence), "checked with the graph"
        return [int(one) for one in value]

    def axis(self, default: int, value: ir.Value | None = None) -> int:
        """The attribute ``axis`` counted from the front of ``value``, by default of input 0."""
        return self.whole("axis", default) % len(self.shape(value or self.x()))

    def only(self, index: int = 0) -> None:
        """Refuse a pull of any input but one.

        Raises:
            GraphError: Another is wanted.
        """
        if self.wanted - {index}:
            raise self.refusal("a computed parameter")

    def shrunk(self, pull: ir.Value, index: int, shape: tuple[int, ...] | None = None) -> ir.Value:
        """A pull of ``shape``, by default the output's, summed over axes that input ``index`` was repeated along."""
        wide, narrow = shape or self.shape(self.y), self.shape(self.x(index))
        if wide == narrow:
            return pull
        first = len(wide) - len(narrow)
        axes = [a for a in range(len(wide)) if a < first or (narrow[a - first] == 1 and wide[a] != 1)]
        summed = self.op("ReduceSum", pull, self.constant(axes), keepdims=1) if axes else pull
        return self.op("Reshape", summed, self.constant(narrow))

    def scaled(self, pull: ir.Value, factor: float) -> ir.Value:
        """A pull times a number."""
        return pull if factor == 1 else self.op("Mul", pull, self.constant(float(factor)))

    def refusal(self, why: str) -> GraphError:
        """That this node is not differentiated."""
        return GraphError(f"node {self.node.name!r} ({self.node.op_type}) has no gradient here: {why}.")


def size_of(shape: Sequence[int]) -> int:
    """How many values an array of ``shape`` has."""
    return math.prod(shape)
