"""Requests that Triton batched: those of equal sizes run as one, and none of them fails another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from splitc.types import Array, Feeds

Run: TypeAlias = Callable[[Feeds], "dict[str, Array]"]
Answer: TypeAlias = "dict[str, Array] | Exception"


def run_rows(run: Run, requests: Sequence[Feeds], wanted: Sequence[str]) -> list[Answer]:
    """Answers in the order of the requests, an error in place of one that has none.

    Args:
        run: The tail.
        requests: Inputs by name; axis 0 counts samples, and its rows stay apart.
        wanted: Outputs.
    """
    answers: dict[int, Answer] = {}
    for members in _of_equal_sizes(requests).values():
        answers |= _together(run, {index: requests[index] for index in members}, wanted)
    return [answers[index] for index in range(len(requests))]


def run_alone(run: Run, request: Feeds, wanted: Sequence[str]) -> Answer:
    """One answer, or why there is none."""
    try:
        outputs = run(request)
        return {name: outputs[name] for name in wanted}
    except Exception as error:
        return error


def _of_equal_sizes(requests: Sequence[Feeds]) -> dict[object, list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for index, feeds in enumerate(requests):
        groups[tuple((name, x.dtype, x.shape[1:]) for name, x in sorted(feeds.items()))].append(index)
    return groups


def _together(run: Run, members: dict[int, Feeds], wanted: Sequence[str]) -> dict[int, Answer]:
    """One run; each alone where that fails, since one of them may be at fault."""
    every = list(members.values())
    if len(every) > 1:
        joined = run_alone(run, {name: np.concatenate([one[name] for one in every]) for name in every[0]}, wanted)
        if not isinstance(joined, Exception):
            ends = np.cumsum([len(next(iter(one.values()))) for one in every])[:-1]
            parts = {name: np.split(x, ends) for name, x in joined.items()}
            return {index: {n: parts[n][place] for n in wanted} for place, index in enumerate(members)}
    return {index: run_alone(run, feeds, wanted) for index, feeds in members.items()}
