"""The monotone minimum cut against brute force over all closed sets of nodes."""

from __future__ import annotations

import random
from itertools import chain, combinations

import pytest

from splitc.graph.cuts.min_cut import UNBOUNDED, FlowNetwork, source_side


def network_of(count: int, prices: list[int], readers: list[list[int]], *, runs_back: bool) -> FlowNetwork:
    """Node n makes one value, number ``count + n``, which later nodes read."""
    network = FlowNetwork.of_size(2 * count)
    for maker, its_readers in enumerate(readers):
        network.join(maker, count + maker, prices[maker])
        for reader in its_readers:
            network.join(count + maker, reader, UNBOUNDED)
            if not runs_back:
                network.join(reader, maker, UNBOUNDED)
    return network


def crossing(side: set[int], readers: list[list[int]]) -> list[int]:
    return [maker for maker in side if any(reader not in side for reader in readers[maker])]


def is_closed(side: set[int], readers: list[list[int]]) -> bool:
    return all(maker in side for maker, its_readers in enumerate(readers) if side & set(its_readers))


@pytest.mark.parametrize("seed", range(60))
def test_the_cut_is_the_cheapest_closed_set_and_the_smallest_of_those(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(3, 9)
    prices = [rng.randint(1, 9) for _ in range(count)]
    readers = [
        sorted(rng.sample(range(maker + 1, count), rng.randint(1, min(3, count - 1 - maker))))
        if maker < count - 1
        else []
        for maker in range(count)
    ]
    inner = range(1, count - 1)
    sides = [{0, *some} for some in chain.from_iterable(combinations(inner, size) for size in range(count - 1))]
    costs = [
        (sum(prices[one] for one in crossing(side, readers)), len(side)) for side in sides if is_closed(side, readers)
    ]
    found, _ = source_side(network_of(count, prices, readers, runs_back=False), {0}, {count - 1})
    if not costs:
        assert found is None
        return
    assert found is not None
    nodes = {one for one in found if one < count}
    assert is_closed(nodes, readers)
    assert (sum(prices[one] for one in crossing(nodes, readers)), len(nodes)) == min(costs)


def test_without_the_arcs_back_a_cheaper_cut_runs_back() -> None:
    """Cutting 0, 1, 2, 3 behind 0 and 2 costs 2, but puts 2 in the head and 1, which it reads, in the tail."""
    prices, readers = [1, 9, 1, 0], [[1], [2, 3], [3], []]
    free, _ = source_side(network_of(4, prices, readers, runs_back=True), {0, 2}, {3})
    assert free is not None
    assert 1 not in free
    held, _ = source_side(network_of(4, prices, readers, runs_back=False), {0, 2}, {3})
    assert held is not None
    assert {0, 1, 2} <= held
    assert crossing({one for one in held if one < 4}, readers) == [1, 2]
