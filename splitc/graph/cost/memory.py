"""How many activation elements are alive at one time while a model runs in topological order."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate

from splitc.graph.cost.boundaries import uses_of
from splitc.graph.model import Model
from splitc.graph.values.tensors import dims_of, elements_of


def activation_peaks(model: Model) -> list[int]:
    """For each node, the most elements that were alive at one time until it was done; dynamic dimensions count as 1.

    Each value lives from its producer to its last reader. Runtimes that compute in place need less. Linear time.
    """
    flow = model.flow
    uses = uses_of(flow)
    dying: dict[int, int] = defaultdict(int)
    alive = 0
    for value, made in uses.made.items():
        size = elements_of(dims_of(value) or (0,))
        dying[uses.last[value]] += size
        alive += size if made < 0 else 0
    now = []
    for index, node in enumerate(flow.nodes):
        alive += sum(elements_of(dims_of(value) or (0,)) for value in node.outputs if value in uses.made)
        now.append(alive)
        alive -= dying[index]
    return list(accumulate(now, max))
