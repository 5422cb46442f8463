"""Which value depends on which: the dataflow of one graph, computed once in linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from splitc.errors import GraphError
from splitc.graph.values.axis_roles import CutLayout, Roles, axis_roles, layout_of

RANDOM_OPS = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
"""Two runs of one of these differ, so it may live in one half only."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Nodes in topological order with what each reads; subgraphs count as part of their node.

    A value *varies* when it depends on a data input (or on a random operator). What does not vary
    (initializers, constants and anything computed from them alone) is free to be in both halves. So is what is computed
    from ``given`` inputs alone: those that either half is given.

    Attributes:
        inputs: Data inputs that the head alone is given.
        given: Data inputs that the tail is given too, where it reads them.
        outputs: What the tail answers.
        exits: Outputs that the head answers by itself.
    """

    graph: ir.Graph
    inputs: tuple[ir.Value, ...]
    given: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    exits: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    reads: tuple[tuple[ir.Value, ...], ...]
    """``reads[i]``: the distinct values of the graph that ``nodes[i]`` reads, captured ones included."""
    varying: frozenset[ir.Value]

    @cached_property
    def values(self) -> dict[str, ir.Value]:
        """Every named value of the top graph."""
        produced = (value for node in self.nodes for value in node.outputs)
        known = (*self.graph.inputs, *self.graph.initializers.values(), *produced)
        return {value.name: value for value in known if value.name}

    @cached_property
    def inner_names(self) -> frozenset[str]:
        """Names of values that live inside If, Loop or Scan bodies."""
        bodies = (body for node in self.nodes for body in subgraphs(node))
        return frozenset(value.name for body in bodies for value in _body_values(body) if value.name)

    @cached_property
    def by_name(self) -> dict[str, ir.Node]:
        """Every named node of the top graph."""
        return {node.name: node for node in self.nodes if node.name}

    @cached_property
    def data(self) -> frozenset[ir.Value]:
        """The varying values that carry elements of the inputs, and not only sizes of their dimensions."""
        found = set(self.inputs)
        for node, read in zip(self.nodes, self.reads, strict=True):
            if is_random(node) or not (is_shape(node) or found.isdisjoint(read)):
                found.update(node.outputs)
        return frozenset(found)

    @cached_property
    def position(self) -> dict[ir.Node, int]:
        """Place of each node in topological order."""
        return {node: index for index, node in enumerate(self.nodes)}

    @cached_property
    def roles(self) -> dict[ir.Value, Roles]:
        """Which axes of each value that depends on an input are its samples and its channels."""
        return axis_roles(self.graph)

    def layout(self, value: ir.Value) -> CutLayout:
        """The layout that a codec is to give a value."""
        return layout_of(value, self.roles.get(value, Roles()))

    @cached_property
    def readers(self) -> Counter[ir.Value]:
        """How many nodes read each value."""
        return Counter(value for read in self.reads for value in read)


def flow_of(graph: ir.Graph, given: Collection[str] = (), exits: Collection[str] = ()) -> Flow:
    """Analyse a topologically sorted graph.

    Args:
        graph: Sorted.
        given: Names of inputs that both halves are given.
        exits: Names of outputs that the head answers by itself.

    Raises:
        GraphError: A node reads a value that nothing produces before it.
    """
    nodes = tuple(graph)
    reads = tuple(_reads(node, graph) for node in nodes)
    data = tuple(value for value in graph.inputs if not value.is_initializer())
    inputs = tuple(value for value in data if value.name not in given)
    known = {*graph.inputs, *graph.initializers.values()}
    varying = set(inputs)
    for node, read in zip(nodes, reads, strict=True):
        missing = next((value for value in read if value not in known), None)
        if missing is not None:
            raise GraphError(
                f"node {node_label(node)} reads {missing.name!r}, which nothing before it produces; "
                "the model is damaged, export it again."
            )
        known.update(node.outputs)
        if is_random(node) or not varying.isdisjoint(read):
            varying.update(node.outputs)
    return Flow(
        graph=graph,
        inputs=inputs,
        given=tuple(value for value in data if value.name in given),
        outputs=tuple(value for value in graph.outputs if value.name not in exits),
        exits=tuple(value for value in graph.outputs if value.name in exits),
        nodes=nodes,
        reads=reads,
        varying=frozenset(varying),
    )


def subgraphs(node: ir.Node) -> Iterator[ir.Graph]:
    """The bodies of an If, Loop, Scan or similar node."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def is_random(node: ir.Node) -> bool:
    """Whether the node, or one inside its bodies, draws random numbers."""
    if node.domain == "" and node.op_type in RANDOM_OPS:
        return True
    return any(is_random(inner) for body in subgraphs(node) for inner in body)


def is_shape(node: ir.Node) -> bool:
    """Whether the node reads nothing of its input but the sizes of its dimensions: a Shape or a Size."""
    return node.domain == "" and node.op_type in ("Shape", "Size")


def node_label(node: ir.Node) -> str:
    """How messages call a node: its operator and its name or, failing that, its first output."""
    return f"{node.op_type} {node.name or (node.outputs[0].name if node.outputs else '') or '?'!r}"


def reads_of(node: ir.Node) -> tuple[ir.Value, ...]:
    """The distinct values of the node's own graph that it reads, those that its bodies capture included."""
    return () if node.graph is None else _reads(node, node.graph)


def _reads(node: ir.Node, graph: ir.Graph) -> tuple[ir.Value, ...]:
    """What the node and its bodies take from ``graph``; so are values that nothing makes."""
    direct = [value for value in node.inputs if value is not None]
    captured = (
        value for body in subgraphs(node) for value in _body_reads(body) if value.graph is graph or _dangles(value)
    )
    return tuple(dict.fromkeys([*direct, *captured]))


def _dangles(value: ir.Value) -> bool:
    return value.producer() is None and not value.is_graph_input() and not value.is_initializer()


def _body_reads(body: ir.Graph) -> Iterator[ir.Value]:
    for node in ir.traversal.RecursiveGraphIterator(body):
        yield from (value for value in node.inputs if value is not None)
        for inner in subgraphs(node):
            yield from inner.outputs
    yield from body.outputs


def _body_values(body: ir.Graph) -> Iterator[ir.Value]:
    yield from _own_values(body)
    for node in ir.traversal.RecursiveGraphIterator(body):
        yield from node.outputs
        for inner in subgraphs(node):
            yield from _own_values(inner)


def _own_values(body: ir.Graph) -> Iterable[ir.Value]:
    return (*body.inputs, *body.initializers.values())
