"""One pass over the nodes in order: what crosses each boundary, and what lies on either side of it.

At the boundary after node ``p`` the values made at or before ``p`` and used after it cross. A single value
separates inputs from outputs exactly when it crosses alone at the boundary after its producer: every node that
matters then comes before it as an ancestor or after it as a descendant. So one sweep finds every single cut.

A Shape node reads no data, only sizes, which the tail can rebuild (``reshaped.py``); its input therefore does
not cross for its sake. It does ask for a dynamic dimension of the same name in the cut: see ``Boundary.wanted``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import onnx_ir as ir

from splitc.graph.cost.flops import node_flops
from splitc.graph.values.flow import Flow, is_random, is_shape
from splitc.graph.values.tensors import has_named_dims, parameters_of, symbols_of


@dataclass(frozen=True, eq=False)
class Boundary:
    """What crosses after the node at ``position``.

    Attributes:
        position: Index of the node in topological order.
        new: The values that cross and were made by this node.
        count: Number of values that cross in all.
        witness: An older value that crosses beside the newest, or None.
        wanted: Names of dynamic dimensions that shape arithmetic of the tail needs.
    """

    position: int
    new: tuple[ir.Value, ...]
    count: int
    witness: ir.Value | None
    wanted: frozenset[str]


@dataclass(frozen=True, eq=False)
class Uses:
    """Where data values are made and last used, by position of nodes; inputs are made at -1.

    Attributes:
        made: Position of the producer of each value that matters.
        last: Position of its last reader; ``len(nodes)`` for an output of the model.
        shapes: ``(first, last, names of dynamic dimensions)`` of each Shape node over which its input is left behind.
        constants: Initializer -> (first, last) position of its readers, through constant arithmetic.
    """

    made: dict[ir.Value, int]
    last: dict[ir.Value, int]
    shapes: list[tuple[int, int, frozenset[str]]]
    constants: dict[ir.Value, tuple[int, int]]


def uses_of(flow: Flow) -> Uses:
    """Analyse how long each value is needed. Linear time."""
    made, severed = _data_values(flow)
    end = len(flow.nodes)
    last = dict.fromkeys(flow.outputs, end)
    first: dict[ir.Value, int] = {}
    shapes = []
    for index in range(end - 1, -1, -1):
        node, read = flow.nodes[index], flow.reads[index]
        alive = [last[value] for value in node.outputs if value in last]
        if not alive:
            continue
        if index in severed:
            source = read[0]
            shapes.append((made.get(source, -1), max(alive), symbols_of(source)))
            continue
        varies = any(value in made for value in node.outputs)
        begin = index if varies else min((first.get(value, end) for value in node.outputs), default=index)
        until = index if varies else max(alive)
        for value in read:
            last[value] = max(last.get(value, -1), until)
            first[value] = min(first.get(value, end), begin)
    constants = {value: (first[value], last[value]) for value in first if value.is_initializer()}
    live = {value: position for value, position in made.items() if value in last}
    return Uses(live, last, shapes, constants)


def boundaries(flow: Flow, uses: Uses) -> Iterator[Boundary]:
    """Every boundary after a node that makes a value which crosses it; ``uses`` is of the same graph."""
    expiring: dict[int, list[ir.Value]] = defaultdict(list)
    for value in uses.made:
        expiring[uses.last[value]].append(value)
    opening, closing = _shape_events(uses)
    wanted: Counter[str] = Counter()
    alive: dict[ir.Value, None] = {value: None for value in flow.inputs if value in uses.made}
    wanted.update(name for names in opening[-1] for name in names)
    for index, node in enumerate(flow.nodes):
        for value in expiring[index]:
            alive.pop(value, None)
        wanted.update(name for names in opening[index] for name in names)
        wanted.subtract(name for names in closing[index] for name in names)
        new = [value for value in node.outputs if value in uses.made and uses.last[value] > index]
        if not new:
            continue
        witness = next(iter(alive), None)
        alive.update(dict.fromkeys(new))
        yield Boundary(index, tuple(new), len(alive), witness, frozenset(name for name in wanted if wanted[name] > 0))


@dataclass(frozen=True)
class Totals:
    """FLOPs and parameters before and after each boundary."""

    head_flops: list[int]
    tail_flops: list[int]
    head_parameters: list[int]
    tail_parameters: list[int]


def totals_of(flow: Flow, uses: Uses) -> Totals:
    """Running sums for the halves at every boundary. Linear time."""
    flops = [node_flops(node) if any(value in uses.made for value in node.outputs) else 0 for node in flow.nodes]
    size = len(flow.nodes)
    begins, ends = [0] * (size + 1), [0] * (size + 1)
    for value, (first, last) in uses.constants.items():
        begins[min(first, size)] += parameters_of(value)
        ends[last] += parameters_of(value)
    head = list(accumulate(flops))
    total = sum(ends)
    done = list(accumulate(ends))
    return Totals(head, [head[-1] - one for one in head], list(accumulate(begins)), [total - one for one in done])


def _data_values(flow: Flow) -> tuple[dict[ir.Value, int], frozenset[int]]:
    """Producer positions of values that carry data, and the Shape nodes that end its way."""
    made = dict.fromkeys(flow.inputs, -1)
    severed = set()
    for index, (node, read) in enumerate(zip(flow.nodes, flow.reads, strict=True)):
        source = next((value for value in read if value in made), None)
        if source is None and not is_random(node):
            continue
        if source is not None and is_shape(node) and has_named_dims(source):
            severed.add(index)
            continue
        made.update(dict.fromkeys(node.outputs, index))
    return made, frozenset(severed)


def _shape_events(
    uses: Uses,
) -> tuple[dict[int, list[frozenset[str]]], dict[int, list[frozenset[str]]]]:
    opening: dict[int, list[frozenset[str]]] = defaultdict(list)
    closing: dict[int, list[frozenset[str]]] = defaultdict(list)
    for first, last, names in uses.shapes:
        if names and first < last:
            opening[first].append(names)
            closing[last].append(names)
    return opening, closing
