"""A file that was written since is noticed; one that was only read is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from splitc.files import Snapshot


def rewritten(path: Path) -> None:
    path.write_bytes(b"other")
    os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 1))  # clocks of file systems tick slowly


def replaced(path: Path) -> None:
    """By another file of the same size and time, as an unpacked archive has them."""
    written = os.stat(path).st_mtime_ns
    path.with_name("new").write_bytes(path.read_bytes())
    os.utime(path.with_name("new"), ns=(0, written))
    os.replace(path.with_name("new"), path)


def grown(path: Path) -> None:
    written = os.stat(path).st_mtime_ns
    path.write_bytes(path.read_bytes() + b"0")
    os.utime(path, ns=(0, written))


def linked_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("b"))


@pytest.mark.parametrize("change", [rewritten, replaced, grown, linked_elsewhere, Path.unlink])
def test_what_changed_is_named(tmp_path: Path, change: Callable[[Path], None]) -> None:
    paths = [tmp_path / "b", tmp_path / "a"]
    for path in paths:
        path.write_bytes(b"bytes")
    before = Snapshot.of(paths)
    change(paths[1])
    assert before.changed() == paths[1]
    assert Snapshot.of(paths).changed() is None


def test_what_was_read_moved_in_or_is_still_absent_has_not_changed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    before = Snapshot.of([tmp_path / "a", tmp_path / "absent"])
    (tmp_path / "a").read_bytes()
    os.chmod(tmp_path / "a", 0o600)
    os.link(tmp_path / "a", tmp_path / "b")
    assert before.changed() is None
    (tmp_path / "absent").touch()
    assert before.changed() == tmp_path / "absent"


def test_of_two_snapshots_the_earlier_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    before = Snapshot.of([tmp_path / "a"])
    grown(tmp_path / "a")
    assert (before | Snapshot.of([tmp_path / "a"])).changed() == tmp_path / "a"
