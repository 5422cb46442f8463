"""What one named cut costs, and which nodes it puts on the edge."""

from __future__ import annotations

from collections.abc import Sequence

from splitc.graph.cuts.candidates import CandidateCut, describe_cut
from splitc.graph.cuts.cut import ancestors, resolve, sides_of
from splitc.graph.model import Model


def price_cut(model: Model, names: Sequence[str]) -> CandidateCut:
    """The cut ``names`` with its bytes, FLOPs and parameters; ``names`` must be a cut (``check_cut``).

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    return describe_cut(model.flow, resolve(model.flow, names))


def head_nodes(model: Model, names: Sequence[str]) -> frozenset[str]:
    """Names of the nodes that the values ``names`` depend on.

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    positions = ancestors(model.flow, resolve(model.flow, names))
    return frozenset(model.flow.nodes[index].name or "" for index in positions)


def cut_sides(model: Model, names: Sequence[str]) -> tuple[frozenset[int], frozenset[int]]:
    """Positions in topological order of the nodes that head and tail need; ``names`` must be a cut.

    Raises:
        CutError: A name is not one of a value that can be cut.
    """
    sides = sides_of(model.flow, resolve(model.flow, names))
    return sides.head, sides.tail
