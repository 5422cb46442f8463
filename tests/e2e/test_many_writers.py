"""Many processes at one place: nobody fails but with a clear "in use", nothing is mixed, nothing is lost or left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from file_commands import COMMANDS, data_files, hidden, state
from file_server import Ask
from file_writers import REFUSALS, WRITERS

ROUNDS = int(os.environ.get("SPLITC_WRITER_ROUNDS", "40"))
"""Of every process. 200 find no more, and take ten minutes on two cores."""
BUILD_ROUNDS = max(1, ROUNDS // 10)
"""A build computes for longer than it writes, and ``staging`` writes as it does."""


def many(ask: Ask, inputs: Path, out: Path, name: str, workers: int, count: int) -> None:
    """Run one writer in all of them, and look at what they left."""
    prepare(inputs, out, name)
    if name == "delta":
        (out / "base.scw").write_bytes((inputs / "m0.scw").read_bytes())
    answers = ask({"loop": name, "inputs": inputs, "out": out, "workers": workers, "count": count})
    assert [answer["failed"] for answer in answers] == [[]] * workers
    done = sum(answer["done"] for answer in answers)
    refused = {message for answer in answers for message in answer["refused"]}
    assert refused <= set(REFUSALS if name == "delta" else REFUSALS[:2])
    assert done + sum(sum(answer["refused"].values()) for answer in answers) == workers * count
    assert done > 0
    assert hidden(out) == []
    check(ask, inputs, out, name)


def prepare(inputs: Path, out: Path, name: str) -> None:
    """What a command finds there."""
    if name in COMMANDS:
        COMMANDS[name].prepare(inputs, out)


def check(ask: Ask, inputs: Path, out: Path, name: str) -> None:
    """What stands there is what one writer alone would have written."""
    if name == "delta":
        applied = (out / "base.scw").read_bytes() == (inputs / "m1.scw").read_bytes()
        assert applied or (out / "base.scw").read_bytes() == (inputs / "m0.scw").read_bytes()
        kept = out / "base.scw.previous"
        assert kept.exists() is applied
        assert not applied or kept.read_bytes() == (inputs / "m0.scw").read_bytes()
        return
    if name == "zoo":
        return
    found = state(out)
    alone = []
    for variant in (0, 1):
        other = out.with_name(f"{out.name}-{variant}")
        other.mkdir()
        prepare(inputs, other, name)
        answers = ask({"loop": name, "inputs": inputs, "out": other, "workers": 1, "count": variant + 1})
        assert [answer["failed"] for answer in answers] == [[]]
        alone.append(state(other))
        assert len(data_files(other)) == len(data_files(out))
    assert found in alone


@pytest.mark.parametrize("name", WRITERS)
def test_a_few_processes_at_one_place(ask: Ask, inputs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    many(ask, inputs, tmp_path / "out", name, workers=4, count=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_eight_processes_at_one_place(ask: Ask, inputs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    many(ask, inputs, tmp_path / "out", name, workers=8, count=BUILD_ROUNDS if name == "build" else ROUNDS)
