"""Folders appear whole or not at all; bundles and halves test the rest."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from splitc.errors import GraphError, UsageError
from splitc.files import folder as folder_module
from splitc.files import whole_folder


def any_folder(place: Path) -> None:
    """Everything may be replaced."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(place: Path, text: str) -> None:
    with whole_folder(place, any_folder) as folder:
        (folder / "a").write_text(text)
        (folder / "b").write_text(text)


@pytest.fixture(params=[True, False], ids=["exchange", "two-renames"])
def _exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(folder_module, "exchanged", lambda one, other: False)


@pytest.mark.usefixtures("_exchange")
def test_the_new_replaces_the_old(tmp_path: Path) -> None:
    write(tmp_path / "new/er/x", "1")
    write(tmp_path / "new/er/x", "2")
    assert (tmp_path / "new/er/x/b").read_text() == "2"
    assert names(tmp_path / "new/er") == ["x"]


@pytest.mark.usefixtures("_exchange")
def test_writers_of_one_place(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(letter: str) -> None:
        try:
            for _ in range(20):
                write(tmp_path / "x", letter)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x/a").read_text() == (tmp_path / "x/b").read_text()


def test_one_that_fails_leaves_a_new_parent_to_the_other(tmp_path: Path) -> None:
    def other(place: Path) -> None:
        if not (tmp_path / "new/y").exists():
            write(tmp_path / "new/y", "other")
        raise UsageError("no")

    with pytest.raises(UsageError, match=r"^no$"), whole_folder(tmp_path / "new/x", other):
        pass
    assert names(tmp_path / "new") == ["y"]


def test_a_parent_that_goes_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the writer that had made it fails."""
    hidden, left = folder_module.hidden_path, [3]

    def gone(place: Path, kind: str) -> Path:
        if left[0]:
            left[0] -= 1
            place.parent.rmdir()
        return hidden(place, kind)

    monkeypatch.setattr(folder_module, "hidden_path", gone)
    write(tmp_path / "new/x", "1")
    assert names(tmp_path / "new") == ["x"]


def test_an_exchange_that_fails_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(one: Path, other: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error", str(one))

    write(tmp_path / "x", "1")
    monkeypatch.setattr(folder_module, "exchanged", failing)
    with pytest.raises(UsageError, match=r"x: cannot be written: input/output error\. Nothing was left behind\.$"):
        write(tmp_path / "x", "2")
    assert (tmp_path / "x/a").read_text() == "1"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_refusal_from_inside_names_the_place_and_not_the_hidden_folder(tmp_path: Path, code: int) -> None:
    why = {errno.ENOSPC: "the disk is full", errno.EIO: "input/output error"}[code]

    def write_inside(folder: Path) -> None:
        try:
            raise OSError(code, os.strerror(code))
        except OSError as error:
            raise GraphError(f"{folder / 'model.onnx'}: cannot be written; choose another folder.") from error

    message = rf"^{re.escape(str(tmp_path / 'x'))}: cannot be written: {why}\. Nothing was left behind\.$"
    with pytest.raises(UsageError, match=message), whole_folder(tmp_path / "x", any_folder) as folder:
        write_inside(folder)
    assert names(tmp_path) == []


def test_a_disk_that_breaks_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(UsageError, match=r"x: cannot be written: input/output error\. Nothing was left behind\.$"):
        write(tmp_path / "x", "1")
    assert names(tmp_path) == []


def test_a_refusal_of_another_file_passes(tmp_path: Path) -> None:
    def read_elsewhere() -> None:
        try:
            (tmp_path / "model.onnx").read_bytes()
        except OSError as error:
            raise GraphError(f"{tmp_path / 'model.onnx'}: no such file.") from error

    with pytest.raises(GraphError, match=r"model\.onnx: no such file"), whole_folder(tmp_path / "x", any_folder):
        read_elsewhere()
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from splitc import files
from splitc.files import folder as module
when = sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
rename = os.rename
def second(one, other):
    die() if str(one).endswith(".partial") else rename(one, other)
if when == "between":
    module.exchanged = lambda one, other: False
    os.rename = second
elif when == "after":
    module.remove = die
with files.whole_folder(Path(sys.argv[1]), lambda place: None) as folder:
    for name in "ab":
        (folder / name).write_text("new")
    if when == "before":
        die()
"""


@pytest.mark.parametrize(
    ("when", "stands", "after"),
    [("before", "old", "old"), ("between", None, "old"), ("after", "new", "new")],
)
def test_killed(tmp_path: Path, when: str, stands: str | None, after: str) -> None:
    place = tmp_path / "x"
    write(place, "old")
    subprocess.run([sys.executable, "-c", KILLED, str(place), when], check=False)
    assert (place / "a").read_text() == stands if stands else not place.exists()
    assert len(names(tmp_path)) > 1
    with pytest.raises(UsageError, match="stop"), whole_folder(place, any_folder):
        raise UsageError("stop")
    assert (place / "a").read_text() == after
    assert names(tmp_path) == ["x"]


def test_a_whole_folder_keeps_permissions_of_any_new_one(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write(tmp_path / "x", "1")
    assert os.stat(tmp_path / "x").st_mode == os.stat(tmp_path / "plain").st_mode
