"""Folders for a moment, and the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from splitc.errors import CapabilityError
from splitc.files import cache_folder, sweep_temporary, temporary_folder, temporary_root


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_one_folder_a_caller_and_nothing_afterwards(tmp_path: Path) -> None:
    with temporary_folder("proof") as one, temporary_folder("proof") as other:
        assert one != other
        assert one.parent == other.parent == temporary_root()
        assert {one.stat().st_mode & 0o777, one.parent.stat().st_mode & 0o777} == {0o700}
        (one / "x").mkdir()
        (one / "x/y").touch()
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal
from splitc.files import temporary_folder
with temporary_folder("proof") as folder:
    (folder / "big").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    with temporary_folder("mine") as mine:
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
        assert len(list(mine.parent.iterdir())) == 2
        sweep_temporary()
        assert list(mine.parent.iterdir()) == [mine]
    subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    sweep_temporary()
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "thesis").touch()
    temporary_root().symlink_to(tmp_path / "elsewhere")
    sweep_temporary()
    with pytest.raises(CapabilityError, match=r"is no folder of this user alone; remove it, or set TMPDIR"):
        temporary_folder("proof").__enter__()
    temporary_root().unlink()
    temporary_root().mkdir(mode=0o777)
    temporary_root().chmod(0o777)
    (temporary_root() / "theirs").touch()
    with pytest.raises(CapabilityError, match="is no folder of this user alone"):
        temporary_folder("proof").__enter__()


def test_no_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    with pytest.raises(CapabilityError, match="cannot be made; set TMPDIR"):
        temporary_folder("proof").__enter__()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SPLITC_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"SPLITC_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/splitc"),
        ({"SPLITC_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/splitc"),
    ],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)
    assert cache_folder("zoo", "x") == Path(expected) / "zoo" / "x"
