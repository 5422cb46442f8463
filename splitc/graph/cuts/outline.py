"""A large graph summarized in a few blocks for drawing, and the tensors between them.

Nodes are put in an order in which the head comes first and then the tail; a block is a run of that order, so no edge
goes back. Blocks end at the cut and, between, where the fewest values cross.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import onnx_ir as ir

from splitc.graph.cost.boundaries import uses_of
from splitc.graph.cost.flops import node_flops
from splitc.graph.cuts.pricing import cut_sides
from splitc.graph.model import Model
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import parameters_of, wire_bytes_of

MOST_BLOCKS = 16
SHOWN_OPERATORS = 3
SHOWN_VALUES = 4


@dataclass(frozen=True)
class OutlineBlock:
    """A run of nodes.

    Attributes:
        name: First output of its last node.
        operators: The most frequent ones, with how many there are.
        nodes, flops, parameters: In all.
        is_head: Whether it lies before the cut.
    """

    name: str
    operators: tuple[tuple[str, int], ...]
    nodes: int
    flops: int
    parameters: int
    is_head: bool


@dataclass(frozen=True)
class Edge:
    """Tensors made in one block and read in a later one; -1 stands for the inputs, the number of blocks for outputs."""

    source: int
    target: int
    values: tuple[str, ...]
    count: int
    wire_bytes: int


@dataclass(frozen=True)
class Outline:
    """Blocks in order, and the edges between them."""

    blocks: tuple[OutlineBlock, ...]
    edges: tuple[Edge, ...]


def outline(model: Model, names: Sequence[str], most_blocks: int = MOST_BLOCKS) -> Outline:
    """The model in at most ``most_blocks`` blocks, one border at the cut ``names``, which must be one."""
    flow, made = model.flow, uses_of(model.flow).made
    head, _ = cut_sides(model, names)
    live = [index for index, node in enumerate(flow.nodes) if any(value in made for value in node.outputs)]
    order = sorted(live, key=lambda index: (index not in head, index))
    place = {index: at for at, index in enumerate(order)}
    spans = _spans(flow, made, place)
    borders = _borders(flow, order, spans, sum(index in head for index in order), most_blocks)
    block_of = [at for at, (start, end) in enumerate(pairwise(borders)) for _ in range(start, end)]
    blocks = [_block(flow, order[start:end], is_head=order[start] in head) for start, end in pairwise(borders)]
    return Outline(tuple(blocks), tuple(_edges(spans, block_of, len(blocks))))


@dataclass(frozen=True)
class _Span:
    """A value from its maker to its readers, as places in the order; -1: an input, ``len(order)``: an output."""

    value: ir.Value
    maker: int
    readers: tuple[int, ...]


def _spans(flow: Flow, made: dict[ir.Value, int], place: dict[int, int]) -> list[_Span]:
    readers: dict[ir.Value, set[int]] = defaultdict(set)
    for index, at in place.items():
        for value in flow.reads[index]:
            readers[value].add(at)
    for value in flow.outputs:
        readers[value].add(len(place))
    return [
        _Span(value, -1 if maker < 0 else place[maker], tuple(sorted(readers[value])))
        for value, maker in made.items()
        if readers[value]
    ]


def _borders(flow: Flow, order: Sequence[int], spans: Sequence[_Span], cut: int, most: int) -> list[int]:
    """Places where blocks begin, the end of the order last."""
    size = len(order)
    count, load = [0] * (size + 2), [0] * (size + 2)
    for span in spans:
        last = max(
            (at for at in span.readers if at < size), default=span.maker
        )  # an output that only leaves is no matter
        count[span.maker + 1] += 1
        count[last + 1] -= 1
        load[span.maker + 1] += wire_bytes_of(span.value)
        load[span.readers[-1] + 1] -= wire_bytes_of(span.value)
    crossing = list(zip(accumulate(count), accumulate(load), range(size + 2), strict=True))
    flops = list(accumulate((node_flops(flow.nodes[index]) + 1 for index in order), initial=0))
    least = min((count for count, _, at in crossing if 0 < at < size), default=0)
    borders = {0, cut, size}
    for step in range(1, most - 1):
        low, high = ((step + by) / (most - 1) * flops[-1] for by in (-0.5, 0.5))
        near = [crossing[at] for at in range(1, size) if low <= flops[at] < high and crossing[at][0] == least]
        if near and len(borders) <= most:
            borders.add(min(near)[2])
    return sorted(borders)


def _block(flow: Flow, nodes: Sequence[int], *, is_head: bool) -> OutlineBlock:
    kinds = Counter(flow.nodes[index].op_type for index in nodes)
    ranked = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    weights = {value for index in nodes for value in flow.reads[index] if value.is_initializer()}
    return OutlineBlock(
        name=flow.nodes[nodes[-1]].outputs[0].name or "",
        operators=tuple(ranked[:SHOWN_OPERATORS]),
        nodes=len(nodes),
        flops=sum(node_flops(flow.nodes[index]) for index in nodes),
        parameters=sum(map(parameters_of, weights)),
        is_head=is_head,
    )


def _edges(spans: Sequence[_Span], block_of: Sequence[int], blocks: int) -> list[Edge]:
    """One edge a pair of blocks; a value that several blocks read is on the edge to each of them."""
    between: dict[tuple[int, int], list[ir.Value]] = defaultdict(list)
    for span in spans:
        source = -1 if span.maker < 0 else block_of[span.maker]
        targets = {blocks if at == len(block_of) else block_of[at] for at in span.readers}
        for target in targets - {source}:
            between[source, target].append(span.value)
    return [
        Edge(
            source,
            target,
            tuple(value.name or "" for value in values[:SHOWN_VALUES]),
            len(values),
            sum(map(wire_bytes_of, values)),
        )
        for (source, target), values in sorted(between.items(), key=lambda one: one[0])
    ]
