"""The cuts of every order in which a graph can run, while there are few.

``enumerate_cuts`` follows one topological order; two branches side by side have many, and each prefix of each order is
a head. All prefixes of all orders are the sets of nodes that hold their predecessors; a chain has one a node, branches
multiply. They are walked within a budget, so that small and slim graphs are complete and wide ones cost nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from splitc.errors import CutError
from splitc.graph.cost.boundaries import uses_of
from splitc.graph.cuts.candidates import CandidateCut, Refuse, check_codable, takes_all
from splitc.graph.cuts.cut import check_cut, separates
from splitc.graph.cuts.pricing import price_cut
from splitc.graph.model import Model
from splitc.graph.values.flow import Flow

WORK, MOST_NODES = 2_000_000, 2_000
"""Heads walked times nodes of the graph, and the largest graph that is tried."""
MOST_CUTS = 256


def cuts_of_every_order(
    model: Model, max_tensors: int, known: Sequence[CandidateCut] = (), refuse: Refuse = takes_all
) -> tuple[CandidateCut, ...]:
    """Minimal cuts of at most ``max_tensors`` values that a codec can take, beside those already ``known``.

    Nothing, where walking all heads would exceed the budget.
    """
    flow = model.flow
    found = {frozenset(cut.names) for cut in known}
    cuts: list[CandidateCut] = []
    for values in _boundaries(flow, max_tensors):
        names = tuple(value.name or "" for value in values)
        if frozenset(names) in found or len(cuts) == MOST_CUTS:
            continue
        found.add(frozenset(names))
        if _is_minimal(flow, values) and _is_allowed(model, names, refuse):
            cuts.append(price_cut(model, names))
    return tuple(cuts)


def _boundaries(flow: Flow, most: int) -> list[tuple[ir.Value, ...]]:
    """What crosses behind each head, where 2 to ``most`` values do."""
    if len(flow.nodes) > MOST_NODES:
        return []
    made = uses_of(flow).made
    nodes = [index for index, node in enumerate(flow.nodes) if any(value in made for value in node.outputs)]
    place = {index: bit for bit, index in enumerate(nodes)}
    needs = [0] * len(nodes)
    readers = dict.fromkeys(made, 0)
    for index in nodes:
        for value in flow.reads[index]:
            if value in made:
                readers[value] |= 1 << place[index]
                needs[place[index]] |= 0 if made[value] < 0 else 1 << place[made[value]]
    outputs = frozenset(flow.outputs)
    makers = {value: 0 if position < 0 else 1 << place[position] for value, position in made.items()}
    boundaries = []
    for head in _heads(needs):
        crossing = tuple(
            value
            for value, maker in makers.items()
            if maker & head == maker and (readers[value] & ~head or value in outputs)
        )
        if 2 <= len(crossing) <= most:
            boundaries.append(crossing)
    return boundaries


def _heads(needs: Sequence[int]) -> Iterator[int]:
    """Every set of nodes, as bits, that holds what its members need; nothing when there are too many."""
    budget = WORK // max(len(needs), 1)
    pending, seen = [0], {0}
    while pending:
        head = pending.pop()
        for bit, need in enumerate(needs):
            more = head | 1 << bit
            if more not in seen and need & head == need:
                seen.add(more)
                pending.append(more)
        if len(seen) > budget:
            return iter(())
    return iter(sorted(seen))


def _is_minimal(flow: Flow, values: Sequence[ir.Value]) -> bool:
    return not any(separates(flow, [other for other in values if other is not value]) for value in values)


def _is_allowed(model: Model, names: tuple[str, ...], refuse: Refuse) -> bool:
    try:
        check_codable(model, check_cut(model, names), refuse)
    except CutError:
        return False
    return True
