"""Requests that run together: answers of each alone, and no request fails another."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.errors import BackendError
from splitc.runtime.triton.rows import run_rows
from splitc.types import Array, Feeds

calls: list[int] = []


def run(feeds: Feeds) -> dict[str, Array]:
    """Sums of rows; a tail that takes four columns, and no NaN."""
    x = feeds["x"]
    calls.append(len(x))
    if x.shape[1] != 4:
        raise BackendError(f"x has {x.shape[1]} columns.")
    if np.isnan(x).any():
        raise BackendError("x is not a number.")
    return {"y": x.sum(axis=1), "more": x}


def rows(count: int, columns: int = 4, value: float = 1.0) -> Feeds:
    return {"x": np.full((count, columns), value, np.float32)}


@pytest.mark.parametrize(
    ("requests", "bad", "runs"),
    [
        ([rows(1), rows(2), rows(3)], [], [6]),
        ([rows(1), rows(1, 5), rows(2)], [1], [3, 1]),
        ([rows(1), rows(1, value=np.nan), rows(2, value=2)], [1], [4, 1, 1, 2]),
        ([rows(1, 5), rows(2, 6)], [0, 1], [1, 2]),
        ([rows(1)], [], [1]),
        ([], [], []),
    ],
)
def test_no_request_fails_another(requests: list[Feeds], bad: list[int], runs: list[int]) -> None:
    calls.clear()
    answers = run_rows(run, requests, ["y"])
    assert len(answers) == len(requests)
    for index, (feeds, answer) in enumerate(zip(requests, answers, strict=True)):
        if index in bad:
            assert isinstance(answer, BackendError)
        else:
            assert not isinstance(answer, Exception)
            assert list(answer) == ["y"]
            assert np.array_equal(answer["y"], feeds["x"].sum(axis=1))
    assert calls == runs
