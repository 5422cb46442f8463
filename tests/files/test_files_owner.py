"""Whose a hidden file is, and whether its owner has ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from splitc.files import sweep, sweep_folder
from splitc.files.hidden import PARTIAL, hidden_beside, hidden_path
from splitc.files.owner import OLD_S, Owner, is_abandoned, owner_from_text, this_process

ME = this_process()


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_name_says_its_owner(tmp_path: Path) -> None:
    hidden_path(tmp_path / "x", PARTIAL).touch()
    (found,) = hidden_beside(tmp_path / "x", PARTIAL)
    assert (found.owner, found.kind, found.is_abandoned) == (ME, PARTIAL, False)
    assert owner_from_text(str(ME)) == ME
    assert owner_from_text("somebody") is None


@pytest.mark.parametrize(
    ("owner", "age_s", "expected"),
    [
        pytest.param(ME, 10 * OLD_S, False, id="alive-however-old"),
        pytest.param(replace(ME, started=ME.started + 1), 0, True, id="its-number-came-again"),
        pytest.param(replace(ME, started=0), 0, False, id="start-not-known"),
        pytest.param(replace(ME, process=1 << 30), 0, True, id="no-such-process"),
        pytest.param(replace(ME, process=1 << 80), 0, True, id="no-number-of-a-process"),
        pytest.param(Owner("00000000", 1, 1), 0, False, id="another-host-new"),
        pytest.param(Owner("00000000", 1, 1), OLD_S + 60, True, id="another-host-old"),
        pytest.param(None, 0, False, id="no-owner-new"),
        pytest.param(None, OLD_S + 60, True, id="no-owner-old"),
    ],
)
def test_who_has_ended(tmp_path: Path, owner: Owner | None, age_s: float, expected: bool) -> None:
    path = tmp_path / "x"
    path.touch()
    os.utime(path, (time.time() - age_s,) * 2)
    assert is_abandoned(path, owner) is expected


def test_a_killed_process_that_nobody_waited_for_has_ended(tmp_path: Path) -> None:
    """The number of a zombie is still taken."""
    with subprocess.Popen(["sleep", "60"]) as process:
        started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        owner = replace(ME, process=process.pid, started=int(started))
        assert not is_abandoned(tmp_path, owner)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_abandoned(tmp_path, owner)


def test_sweeping_takes_nothing_else(tmp_path: Path) -> None:
    dead = replace(ME, process=ended())
    left = [f".x.{dead}.0123456789ab.partial", f".x.{dead}.ba9876543210.partial"]
    kept = [
        ".x.partial",
        ".y.partial",
        f".y.{dead}.0123456789ab.partial",
        f".x.{dead}.0123456789ab.partial.txt",
        f".x.{ME}.0123456789ab.partial",
        f".x.{dead}.0123456789ab.other",
    ]
    for name in [left[0], *kept]:
        (tmp_path / name).touch()
    (tmp_path / left[1]).mkdir()
    (tmp_path / left[1] / "inside").touch()
    (tmp_path / f".x.{dead}.0123456789cd.partial").symlink_to("/etc/passwd")
    sweep(tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, f".x.{dead}.0123456789cd.partial"])


def test_a_whole_folder_is_swept_of_every_name(tmp_path: Path) -> None:
    dead = replace(ME, process=ended())
    for name in (f".x.{dead}.0123456789ab.partial", f".y z.{dead}.0123456789ab.partial", ".z.lock"):
        (tmp_path / name).touch()
    kept = [f".x.{ME}.0123456789ab.partial", "x.lock", "y.partial", f".x.{dead}.0123456789ab.kept"]
    for name in kept:
        (tmp_path / name).touch()
    sweep_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
