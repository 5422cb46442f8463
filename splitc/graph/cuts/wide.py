"""Cuts of several values: in each block, the cheapest one between each node and each of its readers.

The node lies in the head, its reader in the tail, so the value between them crosses. The maximum flow then says what
else crosses at the least cost. Where that makes the value superfluous (something before it crosses too and would do),
the search is repeated with all that the node depends on in the head. So for each value the list holds the cheapest of
all minimal cuts through it that hold nothing it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from splitc.graph.cost.boundaries import Totals, Uses
from splitc.graph.cost.flops import node_flops
from splitc.graph.cuts.blocks import SINK, SOURCE, Block, member_reason
from splitc.graph.cuts.cut import idle_tail, separates
from splitc.graph.cuts.min_cut import source_side
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import parameters_of, symbols_of, wire_bytes_of

BUDGET = 3_000_000
"""Edges that the search may visit over all blocks: seconds. Larger graphs are searched at fewer of their values."""
LEAST = 3
"""Values that are tried in every block, however large it is, while any budget is left."""
TYPICAL_PATHS = 8
"""Augmenting paths that a minimum cut is expected to take, to share out the budget."""


@dataclass(frozen=True, eq=False)
class WideCut:
    """A minimal cut of several values.

    Attributes:
        values: That cross, in topological order.
        wire_bytes: As float32.
        head_flops, head_parameters, tail_parameters: See ``CandidateCut``.
        reason: Why it is of no use, or "".
    """

    values: tuple[ir.Value, ...]
    wire_bytes: int
    head_flops: int
    head_parameters: int
    tail_parameters: int
    reason: str = ""


def wide_cuts(flow: Flow, uses: Uses, totals: Totals, blocks: Sequence[Block], most: int) -> Iterator[WideCut]:
    """The cuts of 2 to ``most`` values, block by block, and those too wide or of no use with their reasons."""
    open_blocks = [block for block in blocks if not block.is_bypassed]
    edges = sum(4 * len(block.values) for block in open_blocks)
    left = BUDGET
    cost = _Cost(flow, uses, totals)
    for block in open_blocks:
        share = max(left * 4 * len(block.values) // max(edges, 1), 1)
        edges -= 4 * len(block.values)
        found, visits = _of_block(block, share) if left else ([], 0)
        left = max(left - visits, 0)
        for values in found:
            yield cost.describe(block, values, most)


def _of_block(block: Block, budget: int) -> tuple[list[tuple[ir.Value, ...]], int]:
    """Minimal cuts, and the number of edges visited."""
    anchors = list(_anchors(block))
    count = min(len(anchors), max(LEAST, budget // (TYPICAL_PATHS * 4 * len(block.values))))
    found: dict[frozenset[ir.Value], tuple[ir.Value, ...]] = {}
    visits = 0
    for index in range(count):
        maker, reader = anchors[(2 * index + 1) * len(anchors) // (2 * count)]
        for before in (_itself, block.past):
            side, seen = source_side(block.network, {SOURCE, *before(maker)}, {SINK, reader})
            visits += seen
            values = block.crossing(side) if side is not None else ()
            if len(values) > 1 and block.is_minimal(values):
                found.setdefault(frozenset(values), values)
                break
        if visits > budget:
            break
    return list(found.values()), visits


def _itself(maker: int) -> set[int]:
    return {maker}


def _anchors(block: Block) -> Iterator[tuple[int, int]]:
    """Where data goes from node to node, as numbers of the network, in values that a codec takes."""
    for value in block.values:
        maker = block.maker(value)
        if maker == SOURCE or member_reason(value):
            continue
        yield from ((maker, block.place[reader]) for reader in block.readers[value])
        if value.is_graph_output():
            yield maker, SINK


class _Cost:
    """What lies on either side of a cut inside a block, from the sums at the block's ends."""

    def __init__(self, flow: Flow, uses: Uses, totals: Totals) -> None:
        self._flow, self._uses, self._totals = flow, uses, totals
        self._behind: dict[ir.Value, frozenset[ir.Value]] = {}

    def describe(self, block: Block, values: tuple[ir.Value, ...], most: int) -> WideCut:
        """The cut with its numbers."""
        before = -1 if block.begin is None else self._uses.made[block.begin]
        head = block.nodes_before(values)
        tail = [position for position in block.positions if position not in head]
        totals, flow = self._totals, self._flow
        flops = (totals.head_flops[before] if before >= 0 else 0) + sum(node_flops(flow.nodes[one]) for one in head)
        ours = (totals.head_parameters[before] if before >= 0 else 0) + self._new(head, lambda first, _: first > before)
        theirs = totals.tail_parameters[block.end] + self._new(tail, lambda _, last: last <= block.end)
        wire = sum(map(wire_bytes_of, values))
        return WideCut(values, wire, flops, ours, theirs, self._reason(block, values, most))

    def _reason(self, block: Block, values: Sequence[ir.Value], most: int) -> str:
        if len(values) > most:
            return f"{len(values)} tensors cross, at most {most} may"
        unfit = next(filter(None, map(member_reason, values)), None)
        if unfit:
            return unfit
        if idle := idle_tail(self._flow, values):
            return idle
        lacking = block.wanted - frozenset[str]().union(*(symbols_of(value) for value in values))
        if lacking and not separates(self._flow, values):
            return f"the tail needs the dynamic dimension {min(lacking)!r} as an int64 shape"
        return ""

    def _new(self, nodes: Iterable[int], is_new: Callable[[int, int], bool]) -> int:
        """Parameters of the initializers behind ``nodes`` whose first and last readers pass ``is_new``."""
        constants = self._uses.constants
        held = {one for index in nodes for value in self._flow.reads[index] for one in self._initializers(value)}
        return sum(parameters_of(value) for value in held if value in constants and is_new(*constants[value]))

    def _initializers(self, value: ir.Value) -> frozenset[ir.Value]:
        """What a value that depends on no data was computed from."""
        if value in self._flow.varying:
            return frozenset()
        if value not in self._behind:
            found, pending, seen = set(), [value], set()
            while pending:
                one = pending.pop()
                node = one.producer()
                if node is None:
                    found.add(one)
                elif node not in seen:
                    seen.add(node)
                    pending.extend(self._flow.reads[self._flow.position[node]])
            self._behind[value] = frozenset(found)
        return self._behind[value]
