"""The parts of a graph between one single-value cut and the next, in which cuts of several values lie.

A minimal cut of several values contains no single-value cut, so it lies in one block. Blocks partition the live
nodes; so work that is linear in each block is linear overall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from splitc.graph.cost.boundaries import Boundary, Uses
from splitc.graph.cuts.min_cut import UNBOUNDED, FlowNetwork
from splitc.graph.values.flow import Flow
from splitc.graph.values.tensors import uncodable_reason, unknown_reason, wire_bytes_of

SOURCE, SINK = 0, 1
"""Nodes of a block's network that stand for what comes before and after it."""
UNCODABLE = 1 << 44
"""Bytes: more than all tensors of a block, and few enough that sums stay below ``UNBOUNDED``."""


@dataclass(frozen=True, eq=False)
class Block:
    """Two or more live nodes between two separating values.

    Attributes:
        flow: The graph.
        uses: Of it.
        begin: The value that separates before the block; None where the model's inputs are several.
        positions: Of the live nodes in topological order; the last one makes the next separating value.
        wanted: Dynamic dimensions that shape arithmetic may want across the block.
        is_last: Whether the block ends in the outputs of the model and not in one separating value.
    """

    flow: Flow
    uses: Uses
    begin: ir.Value | None
    positions: tuple[int, ...]
    wanted: frozenset[str]
    is_last: bool

    @property
    def end(self) -> int:
        """Position of the last node."""
        return self.positions[-1]

    @cached_property
    def values(self) -> tuple[ir.Value, ...]:
        """Live values that nodes of the block read from each other or from before it, and its outputs."""
        made = (value for position in self.positions for value in self.flow.nodes[position].outputs)
        before = self.flow.inputs if self.begin is None else (self.begin,)
        return tuple(value for value in (*before, *made) if value in self.uses.last)

    @cached_property
    def readers(self) -> dict[ir.Value, list[int]]:
        """Positions of the nodes of the block that read each of ``values`` for its elements."""
        found: dict[ir.Value, list[int]] = {value: [] for value in self.values}
        for position in self.positions:
            for value in self.flow.reads[position]:
                if value in found:
                    found[value].append(position)
        return found

    @cached_property
    def place(self) -> dict[int, int]:
        """Position of a node -> its number in ``network``."""
        return {position: number for number, position in enumerate(self.positions, start=2)}

    @property
    def is_bypassed(self) -> bool:
        """Whether the value before the block also feeds its last node, so that no other cut exists in it."""
        return self.begin is not None and not self.is_last and self.begin in self.flow.reads[self.end]

    @cached_property
    def network(self) -> FlowNetwork:
        """What crossing costs; the outputs of the model and the last node of an inner block lie behind ``SINK``.

        The value before the block is a cut by itself, so it is in no other cut.
        """
        network = FlowNetwork.of_size(2 + len(self.positions) + len(self.values))
        if not self.is_last:
            network.join(self.place[self.end], SINK, UNBOUNDED)
        for number, value in enumerate(self.values, start=2 + len(self.positions)):
            maker = self.maker(value)
            network.join(maker, number, UNBOUNDED if value is self.begin else _price(value))
            for reader in self.readers[value]:
                network.join(number, self.place[reader], UNBOUNDED)
                network.join(self.place[reader], maker, UNBOUNDED)
            if value.is_graph_output():
                network.join(number, SINK, UNBOUNDED)
        return network

    def crossing(self, side: set[int]) -> tuple[ir.Value, ...]:
        """The values made on a side of the network and read on the other."""
        return tuple(
            value
            for value in self.values
            if self.maker(value) in side
            and (value.is_graph_output() or any(self.place[reader] not in side for reader in self.readers[value]))
        )

    def nodes_before(self, values: Iterable[ir.Value]) -> set[int]:
        """Positions of the nodes of the block that ``values`` depend on."""
        found: set[int] = set()
        pending = list(values)
        while pending:
            node = pending.pop().producer()
            position = -1 if node is None else self.flow.position[node]
            if position in self.place and position not in found:
                found.add(position)
                pending.extend(value for value in self.flow.reads[position] if value in self.readers)
        return found

    def past(self, maker: int) -> set[int]:
        """Numbers of a node, of all before it, and of every reader of what those before it make.

        With these in the head, nothing that the node depends on crosses.
        """
        node = self.flow.nodes[self.positions[maker - 2]]
        inputs = [value for value in self.flow.reads[self.positions[maker - 2]] if value in self.readers]
        found, pending, seen = {maker}, inputs, set(inputs)
        while pending:
            value = pending.pop()
            found.update(self.place[reader] for reader in self.readers[value])
            source = value.producer()
            position = -1 if source is None or source is node else self.flow.position[source]
            if position in self.place:
                found.add(self.place[position])
                new = {one for one in self.flow.reads[position] if one in self.readers} - seen
                seen |= new
                pending.extend(new)
        return found

    def is_minimal(self, values: Sequence[ir.Value]) -> bool:
        """Whether each member hides an output, or the end of the block, that no other one hides."""
        return all(self._leaks([other for other in values if other is not value]) for value in values)

    def _leaks(self, values: Sequence[ir.Value]) -> bool:
        """Whether data passes from the beginning of the block to its end around ``values``."""
        stop = set(values)
        before = self.flow.inputs if self.begin is None else (self.begin,)
        reached = {value for value in before if value in self.readers and value not in stop}
        for position in self.positions:
            if not reached.isdisjoint(self.flow.reads[position]):
                reached.update(value for value in self.flow.nodes[position].outputs if value not in stop)
        ends = self.flow.outputs if self.is_last else self.flow.nodes[self.end].outputs
        return not reached.isdisjoint(ends)

    def maker(self, value: ir.Value) -> int:
        """Number of the node that makes one of ``values``."""
        node = value.producer()
        return SOURCE if node is None else self.place.get(self.flow.position[node], SOURCE)


def member_reason(value: ir.Value) -> str | None:
    """Why a cut that a codec takes cannot hold a value, or None."""
    return unknown_reason(value) or uncodable_reason(value)


def _price(value: ir.Value) -> int:
    """Bytes on the wire; what no codec takes crosses only where nothing else separates."""
    return max(wire_bytes_of(value), 1) + (UNCODABLE if member_reason(value) else 0)


class BlockMaker:
    """Collects the boundaries of a sweep into blocks."""

    def __init__(self, flow: Flow, uses: Uses) -> None:
        self._flow, self._uses = flow, uses
        self._begin = flow.inputs[0] if len(flow.inputs) == 1 else None
        self._start = 0
        self._wanted: set[str] = set()
        self._made: list[Block] = []

    def add(self, boundary: Boundary) -> None:
        """The next boundary in order; one that a single value crosses ends a block."""
        self._wanted |= boundary.wanted
        if boundary.count == 1:
            self._close(boundary.position + 1, is_last=False)
            self._begin, self._start, self._wanted = boundary.new[0], boundary.position + 1, set(boundary.wanted)

    def finished(self) -> list[Block]:
        """All blocks, the last of which ends in the outputs."""
        self._close(len(self._flow.nodes), is_last=True)
        return self._made

    def _close(self, stop: int, *, is_last: bool) -> None:
        live = (
            one for one in range(self._start, stop) if any(v in self._uses.made for v in self._flow.nodes[one].outputs)
        )
        positions = tuple(live)
        if len(positions) > 1:
            wanted = frozenset(self._wanted)
            self._made.append(Block(self._flow, self._uses, self._begin, positions, wanted, is_last))
