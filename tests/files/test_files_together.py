"""Files written together: all of them, or every place as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.errors import UsageError
from splitc.files import write_together


def test_both(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o640)
    write_together({tmp_path / "a": b"new", tmp_path / "b": b"too"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"too"}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["absent/b", "folder", "n" * 300])
def test_neither(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=r"cannot be written|is a folder; name a file in it"):
        write_together({tmp_path / "a": b"new", tmp_path / name: b"too"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]
