"""Run a graph once over samples, layer by layer; each layer may be changed before later ones run.

inputs ──► segment 1 ──► y1 ──► segment 2 ──► y2 ──► ...      values are kept until the last segment that reads them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from splitc.passes.activations import open_session
from splitc.types import Array, Feeds


@dataclass(frozen=True, eq=False)
class SegmentRuns:
    """Iterates over ``(node, its output of every feed)``, in the order of ``nodes``.

    What the arrays hold when the next segment is asked for is what it reads: change them in place where a layer was
    changed. Everything that later segments read is held in memory, for all feeds.

    Attributes:
        model: The graph; only nodes that were already given may be changed while this runs.
        nodes: Nodes of the top graph in its order; segments end at their first outputs.
        feeds: Samples.
    """

    model: ir.Model = field(repr=False)
    nodes: Sequence[ir.Node]
    feeds: Sequence[Feeds] = field(repr=False)

    def __iter__(self) -> Iterator[tuple[ir.Node, list[Array]]]:
        ends = [node.outputs[0] for node in self.nodes]
        borders = [
            _border(self.model, end, {*self.model.graph.inputs, *ends[:index]}) for index, end in enumerate(ends)
        ]
        last = {value: index for index, border in enumerate(borders) for value in border}
        kept: dict[ir.Value, list[Array]] = {
            value: [one[value.name or ""] for one in self.feeds]
            for value in self.model.graph.inputs
            if value.name not in self.model.graph.initializers
        }
        for index, (node, border) in enumerate(zip(self.nodes, borders, strict=True)):
            made = _run(self.model, border, ends[index], kept, len(self.feeds))
            kept = {value: arrays for value, arrays in kept.items() if last.get(value, -1) > index}
            yield node, made
            if last.get(ends[index], -1) > index:
                kept[ends[index]] = made


def _border(model: ir.Model, end: ir.Value, known: set[ir.Value]) -> list[ir.Value]:
    """The known values that ``end`` is computed from, in a fixed order."""
    todo, seen, found = [end], {end}, dict[ir.Value, None]()
    while todo:
        node = todo.pop().producer()
        for value in _read(node) if node is not None else ():
            if value in known:
                found[value] = None
            elif value not in seen and value.graph is model.graph:
                seen.add(value)
                todo.append(value)
    return list(found)


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Inputs of a node, and what the graphs inside it read."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            for inner in ir.traversal.RecursiveGraphIterator(attribute.as_graph()):
                yield from (value for value in inner.inputs if value is not None)


def _run(
    model: ir.Model, border: Sequence[ir.Value], end: ir.Value, kept: Mapping[ir.Value, list[Array]], count: int
) -> list[Array]:
    """``end`` for ``count`` feeds, from what is kept of them."""
    part = ir.convenience.extract(model.graph, border, [end])
    for value in (*part.inputs, *part.outputs):
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    whole = ir.Model(part, ir_version=model.ir_version, functions=list(model.functions.values()))
    session = open_session(whole)
    names = [value.name for value in session.get_inputs()]
    known = {value.name: kept[value] for value in border}
    return [session.run(None, {name: known[name][index] for name in names})[0] for index in range(count)]
