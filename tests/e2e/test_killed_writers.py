"""``kill -9`` of every command that writes: old or new, whole; a rerun works, and nothing is left after it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from e2e_setting import listing
from file_commands import COMMANDS, data_files, hidden, state
from file_server import Ask

KILLED = -9
KILLS = int(os.environ.get("SPLITC_KILLS", "12"))
"""Of every command in the slow test, each of a living process: at most two of three at a change of its files, the
others at any time."""
TRIES = 6
"""Runs for each kill at any time; one that had ended before does not count."""
SERVES_S = 3.0
"""A server starts in less, and serves for the rest."""
ONNXRUNTIME = ".ses"
"""What ONNX Runtime leaves in every temporary folder."""
OLD, NEW = 0, 1


class Scene:
    """One command, its inputs, and what it writes when nobody disturbs it."""

    def __init__(self, ask: Ask, inputs: Path, places: Path, folder: Path, name: str) -> None:
        self.ask, self.inputs, self.places, self.folder, self.name = ask, inputs, places, folder, name
        self.command = COMMANDS[name]
        self.old, self.new = folder / "old", folder / "new"
        for variant, out in ((OLD, self.old), (NEW, self.new)):
            self.new_folder(out)
            done = self.run(out, variant)
            assert done["code"] == 0, done
        shutil.copytree(self.old, folder / "counted")
        begun = time.monotonic()
        self.changes = self.run(folder / "counted", NEW)["changes"]
        self.seconds = time.monotonic() - begun

    def new_folder(self, out: Path) -> None:
        out.mkdir()
        self.command.prepare(self.inputs, out)

    def run(self, out: Path, variant: int, **kill: float | None) -> Mapping[str, int]:
        words = self.command.words(self.inputs, out, variant)
        roots = [str(self.folder), str(self.places)]
        answer: Mapping[str, int] = self.ask({"run": words, "variant": variant, "roots": roots, **kill})
        return answer

    def kill(self, number: int, is_new: bool, **kill: float) -> bool:
        """Kill one run, look, and run again; whether it was alive when the kill came."""
        out = self.folder / f"killed{number}"
        if is_new:
            self.new_folder(out)
        else:
            shutil.copytree(self.old, out)
        before, after = state(out), state(self.new)
        code = self.run(out, NEW, **kill)["code"]
        assert code in (KILLED, 0)
        self.check(state(out), before, after)
        rerun = self.run(out, NEW)
        assert rerun["code"] == 0, rerun
        assert state(out) == after
        assert len(data_files(out)) == len(data_files(self.new))
        assert hidden(out) == []
        assert left(self.places) == []
        shutil.rmtree(out)
        return code == KILLED

    def check(self, found: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """The old files or the new ones; of commands that write several files, each for itself."""
        if self.command.is_one_step:
            assert found in (before, after)
            return
        for name in found.keys() | before.keys():
            assert found.get(name) in (before.get(name), after.get(name)), name


def left(places: Path) -> list[str]:
    """What stands in the temporary folder, and hidden names of the cache."""
    return [path.name for path in (places / "tmp").iterdir() if path.name != ONNXRUNTIME] + hidden(places / "cache")


def spread(count: int, changes: int) -> Sequence[int]:
    """``count`` of the numbers below ``changes``, evenly."""
    return sorted({changes * index // count for index in range(count)})


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_some_changes(ask: Ask, inputs: Path, places: Path, tmp_path: Path, name: str) -> None:
    scene = Scene(ask, inputs, places, tmp_path, name)
    for number, at in enumerate(spread(2, scene.changes)):
        assert scene.kill(number, is_new=number == 1, at=at)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_many_changes_and_times(ask: Ask, inputs: Path, places: Path, tmp_path: Path, name: str) -> None:
    scene, source = Scene(ask, inputs, places, tmp_path, name), random.Random(name)
    at = [{"at": one} for one in spread(2 * KILLS // 3, scene.changes)]
    hits = [scene.kill(number, is_new=number % 3 == 2, **one) for number, one in enumerate(at)].count(True)
    at_changes = hits  # a new place has fewer changes than one where something is replaced
    for number in range(len(at), len(at) + TRIES * (KILLS - hits)):
        if hits < KILLS:
            hits += scene.kill(number, is_new=number % 3 == 2, after=source.uniform(0, scene.seconds))
    print(f"{name}: {hits} kills of a living process, {at_changes} of them at a change of its files")
    assert hits == KILLS


@pytest.mark.slow
def test_killed_servers(ask: Ask, inputs: Path, places: Path, tmp_path: Path) -> None:
    """At a change of their files, or at any time while they start and serve: the next one serves at the same place."""
    pytest.importorskip("grpc", reason="needs splitc[serve]")
    words = ["serve", inputs / "bundle0", "--listen", f"unix:{tmp_path}/socket", "--drain-s", 1]
    source, roots = random.Random("serve"), [str(tmp_path), str(places)]
    for number in range(KILLS):
        kill = {"at": number // 2} if number % 2 else {}
        code = ask({"run": words, "variant": 0, "roots": roots, "after": source.uniform(0, SERVES_S), **kill})["code"]
        assert code == KILLED
    print(f"serve: {KILLS} kills of a living process")
    ended = ask({"run": words, "variant": 0, "roots": roots, "after": 2 * SERVES_S, "by": signal.SIGTERM})
    assert ended["code"] == 0, ended
    assert listing(tmp_path) == set()
    assert left(places) == []


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow, id="each"), pytest.param(3, id="some")])
def test_a_killed_update_is_finished_or_forgotten(
    ask: Ask, inputs: Path, places: Path, tmp_path: Path, step: int
) -> None:
    """``delta apply`` and ``delta rollback``, before each change of the files."""
    first, second = (inputs / f"m{v}.scw" for v in (0, 1))
    for action, base, kept in (("apply", first, b"older"), ("rollback", second, first.read_bytes())):
        at, code = 0, KILLED
        while code == KILLED:
            out = tmp_path / f"{action}{at}"
            out.mkdir()
            shutil.copy(base, out / "base.scw")
            (out / "base.scw.previous").write_bytes(kept)
            words = ["delta", action, out / "base.scw", *([inputs / "update.scd"] if action == "apply" else [])]
            request = {"run": words, "variant": 0, "roots": [str(tmp_path), str(places)]}
            code = ask({**request, "at": at})["code"]
            assert (out / "base.scw").read_bytes() in (first.read_bytes(), second.read_bytes())
            ask(request)
            assert hidden(out) == []
            found = {path.name: path.read_bytes() for path in out.iterdir()}
            if action == "apply":
                assert found == {"base.scw": second.read_bytes(), "base.scw.previous": first.read_bytes()}
            else:
                assert found == {"base.scw": first.read_bytes()}
            at += step
        assert at > step, "it was never killed"
