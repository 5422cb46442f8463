"""The cheapest set of values between two parts of a graph, by maximum flow, such that no edge runs back.

Nodes of the network are nodes of the graph, and one more a value. Breadth-first augmenting paths: Edmonds and Karp,
*Theoretical improvements in algorithmic efficiency for network flow problems*, J. ACM 19(2), 1972.

::

    producer ──bytes──► value ──∞──► reader        crossing a value costs its bytes once, however many read it
       ▲                                │
       └───────────────∞────────────────┘          a reader in the head takes its producer along: nothing runs back

Why nothing may run back. Head and tail run one after the other, so the head may depend on nothing that the tail makes:
with a node, the head holds all that the node depends on. A plain minimum cut does not promise that. It counts edges
from the head's side to the tail's and ignores those in the other direction, so a path head → tail → head → tail may be
cheaper than any cut that it crosses once.

How the arcs forbid it. A cut of the network is a set S of nodes with the sources and without the sinks; its capacity
is the sum over edges that leave S. The arc reader → producer is infinite: it leaves S exactly when a reader is in S
and its producer is not, so a cut is finite only if S holds the producers of all it holds (S is closed). Conversely the
edges that leave a closed S, once every value all of whose readers are in S is counted to S, are producer → value for
the values with a producer in S and a reader outside: those that cross, each once. Hence finite cuts are the closed
sets and capacities are bytes on the wire, and the theorem of maximum flow and minimum cut (Ford and Fulkerson 1956)
applies as it stands: nodes that the sources reach in the residual network of a maximum flow are the smallest S of the
least capacity. Arcs from values to readers are infinite so that nothing but a value is ever cut.

Cost. Edmonds and Karp need at most V * E / 2 augmentations of one search each, whatever the capacities; searches visit
E edges, and E is one edge a value and two a reading, each with its reverse. In networks that people train a cut has
few values and a handful of augmentations suffices; callers bound the edges visited (``BUDGET`` in ``wide.py``), not
time, so that results do not depend on the machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

UNBOUNDED = 1 << 62
"""A capacity that no sum of bytes reaches."""


@dataclass(eq=False)
class FlowNetwork:
    """Edges in pairs: number ``e`` and its reverse ``e ^ 1``."""

    edges: list[list[int]]
    to: list[int] = field(default_factory=list)
    capacity: list[int] = field(default_factory=list)

    @classmethod
    def of_size(cls, size: int) -> FlowNetwork:
        """``size`` nodes and no edges."""
        return cls([[] for _ in range(size)])

    def join(self, start: int, end: int, capacity: int) -> None:
        """Add an edge."""
        self.edges[start].append(len(self.to))
        self.edges[end].append(len(self.to) + 1)
        self.to += (end, start)
        self.capacity += (capacity, 0)


def source_side(network: FlowNetwork, sources: Collection[int], sinks: Collection[int]) -> tuple[set[int] | None, int]:
    """The smallest source side of a minimum cut.

    Args:
        network: Not changed.
        sources, sinks: Nodes that lie on either side.

    Returns:
        The nodes on the side of the sources, or None when no finite cut separates the two; and how many edges were
        visited.
    """
    capacity, visits = list(network.capacity), 0
    while True:
        reached, end, seen = _search(network, capacity, sources, sinks)
        visits += seen
        if end is None:
            return set(reached), visits
        path = _path(network, reached, end)
        room = min((capacity[edge] for edge in path), default=UNBOUNDED)
        if room >= UNBOUNDED:
            return None, visits
        for edge in path:
            if capacity[edge] < UNBOUNDED:
                capacity[edge] -= room
            capacity[edge ^ 1] += room if capacity[edge ^ 1] < UNBOUNDED else 0


def _search(
    network: FlowNetwork, capacity: Sequence[int], sources: Collection[int], sinks: Collection[int]
) -> tuple[dict[int, int], int | None, int]:
    """Node -> edge by which it was reached (-1 for a source), the sink reached first, edges visited."""
    reached = dict.fromkeys(sources, -1)
    if not reached.keys().isdisjoint(sinks):
        return reached, next(iter(reached.keys() & set(sinks))), 0
    pending, visits = deque(reached), 0
    while pending:
        node = pending.popleft()
        visits += len(network.edges[node])
        for edge in network.edges[node]:
            end = network.to[edge]
            if capacity[edge] and end not in reached:
                reached[end] = edge
                if end in sinks:
                    return reached, end, visits
                pending.append(end)
    return reached, None, visits


def _path(network: FlowNetwork, reached: dict[int, int], end: int) -> list[int]:
    """Edges from a source to ``end``, backwards."""
    path = []
    while (edge := reached[end]) >= 0:
        path.append(edge)
        end = network.to[edge ^ 1]
    return path
