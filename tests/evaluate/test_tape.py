"""Recorded answers: played back as they were, and let go when they are too many to keep."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from splitc.evaluate import Paths, Recorder, played
from splitc.types import Array, Feeds


def answers(feeds: Feeds) -> Mapping[str, Array]:
    return {"y": feeds["x"] * 2, "more": feeds["x"]}


def paths() -> Paths:
    nothing: Any = None
    return Paths(reference="x", full=answers, split=answers, edge=nothing, cloud=nothing)


def test_what_was_heard_is_played_in_its_order() -> None:
    recorder = Recorder(["y"], ["full", "split"])
    heard = recorder.paths(paths())
    feeds = [{"x": np.full((1, 3), index, np.float32)} for index in range(3)]
    for one in feeds:
        heard.full(one)
        assert heard.split is not None
        heard.split(one)
    assert recorder.recording is not None
    again = played(paths(), recorder.recording, ["y"])
    nothing = {"x": np.zeros((1, 3), np.float32)}
    assert [float(again.full(nothing)["y"].flat[0]) for _ in feeds] == [0, 2, 4]
    assert again.split is not None
    assert [float(again.split(nothing)["y"].flat[0]) for _ in feeds] == [0, 2, 4]


def test_too_many_answers_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.evaluate.tape.MOST_BYTES", 5 * 12)
    recorder = Recorder(["y"], ["full"])
    heard, alive = recorder.paths(paths()), []
    for index in range(8):
        answer = heard.full({"x": np.full((1, 3), index, np.float32)})["y"]
        alive.append(weakref.ref(answer))
        if index == 4:
            assert recorder.recording is not None
    del answer
    gc.collect()
    assert recorder.recording is None
    assert [one for one in alive if one() is not None] == []
