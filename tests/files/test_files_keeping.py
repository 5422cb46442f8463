"""A file is replaced and the old one kept, whenever the process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from splitc.errors import UsageError
from splitc.files import finish_keeping, locked, replace_and_keep

KILLED = """
import os, signal, sys
from pathlib import Path
from splitc.files import locked, replace_and_keep
replace, left = os.replace, int(sys.argv[2])
def dying(one, other):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    replace(one, other)
os.replace = dying
place = Path(sys.argv[1])
with locked(place):
    replace_and_keep(place, place.with_name("kept"), "new")
"""


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def update(place: Path, content: str) -> None:
    with locked(place):
        replace_and_keep(place, place.with_name("kept"), content)


def test_the_old_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    (tmp_path / "x").chmod(0o640)
    update(tmp_path / "x", "2")
    update(tmp_path / "x", "3")
    assert contents(tmp_path) == {"x": "3", "kept": "2"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


@pytest.mark.parametrize(
    ("renames", "stands", "kept"),
    [
        pytest.param(0, "old", "older", id="before-the-copy-has-its-name"),
        pytest.param(1, "old", "older", id="before-it-is-replaced"),
        pytest.param(2, "new", "old", id="before-the-copy-is-kept"),
        pytest.param(3, "new", "old", id="not"),
    ],
)
def test_killed_before_each_rename(tmp_path: Path, renames: int, stands: str, kept: str) -> None:
    place = tmp_path / "x"
    place.write_text("old")
    (tmp_path / "kept").write_text("older")
    done = subprocess.run([sys.executable, "-c", KILLED, str(place), str(renames)], check=False)
    assert done.returncode == (0 if renames == 3 else -9)
    assert place.read_text() == stands
    with locked(place):
        finish_keeping(place, tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == kept
    update(place, "newer")
    assert contents(tmp_path) == {"x": "newer", "kept": stands}


def test_what_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/inside").touch()
    with locked(tmp_path / "x"), pytest.raises(UsageError, match="kept: is a folder"):
        replace_and_keep(tmp_path / "x", tmp_path / "kept", "new")
    with locked(tmp_path / "absent"), pytest.raises(UsageError, match=r"absent: cannot be written \(No such file"):
        replace_and_keep(tmp_path / "absent", tmp_path / "older", "new")
    assert sorted(os.listdir(tmp_path)) == ["kept", "x"]
    assert (tmp_path / "x").read_text() == "old"
