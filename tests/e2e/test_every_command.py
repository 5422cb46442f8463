"""Every command with good and bad input: the documented exit codes, and not one warning of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from e2e_setting import cli
from every_command import GATE, Place, gate_calls, good_calls, make_files, refused_calls

import splitc.cli
from splitc.cli.app import app

PATIENCE_S = 240
STRICT = (sys.executable, "-X", "dev", "-W", "error", "-m", "splitc")


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_files(source, folder)
    return folder


@pytest.fixture
def place(source: Path, bundle: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("SPLITC_STATE", str(tmp_path / "state"))
    (tmp_path / "out").mkdir()
    return Place(source, bundle, made, tmp_path / "out")


def every_command() -> set[str]:
    assert splitc.cli  # its modules register the commands
    own = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    return own | {
        f"{group.typer_instance.info.name} {one.name or one.callback.__name__}"
        for group in app.registered_groups
        if group.typer_instance
        for one in group.typer_instance.registered_commands
        if one.callback
    }


WITHOUT_A_GOOD_CALL = {"engine", "serve", "delta rollback"}
"""They need a GPU, run until they are ended, or take an update back: tests of their own have them."""


def test_the_tables_know_every_command(place: Place) -> None:
    assert every_command() == set(refused_calls(place))
    assert every_command() - WITHOUT_A_GOOD_CALL == set(good_calls(place))


@pytest.mark.parametrize("command", sorted(every_command() - WITHOUT_A_GOOD_CALL))
def test_good_input_ends_with_0(command: str, place: Place) -> None:
    outcome = cli(*good_calls(place)[command])
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("command", sorted(every_command()))
def test_bad_input_ends_with_2_or_3(command: str, place: Place) -> None:
    for call in refused_calls(place)[command]:
        outcome = cli(*call)
        assert outcome.code in (2, 3), f"{call}: {outcome.code} {outcome.err}"
        message = [line for line in outcome.err.splitlines() if line.startswith("splitc: ")]
        assert message, call
        assert len(message[-1]) > len("splitc: ."), call
        assert outcome.out == "", call


@pytest.mark.parametrize("gate", ["build", "verify", "delta", "signature"])
def test_only_a_missed_gate_ends_with_1(gate: str, place: Place) -> None:
    outcome = cli(*gate_calls(place)[gate])
    assert outcome.code == GATE, outcome.err


def strict(call: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """A call in a process where every warning is an error."""
    words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in call]
    return subprocess.run([*STRICT, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(every_command() - WITHOUT_A_GOOD_CALL))
def test_no_command_warns(command: str, place: Place) -> None:
    """``python -X dev -W error``: no warning, no file left open, of ours or of what is loaded."""
    done = strict(good_calls(place)[command])
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Warning" not in done.stderr, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(every_command()))
def test_no_refusal_warns(command: str, place: Place) -> None:
    done = strict(refused_calls(place)[command][0])
    assert done.returncode in (2, 3), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr, done.stderr[-2000:]


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "splitc", "--version"], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout == cli("--version").out
    assert shutil.which("splitc") is None or done.stdout.startswith("splitc ")
