"""Two keys, a signed bundle and a state folder of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "bundle"))

from bundle_samples import write

from splitc.signing import new_key, read_private, sign_bundle


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPLITC_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """Private keys; the public ones stand beside them."""
    (tmp_path / "keys").mkdir()
    places = (tmp_path / "keys" / "ours", tmp_path / "keys" / "theirs")
    for place in places:
        new_key(place)
    return places


@pytest.fixture
def public(keys: tuple[Path, Path]) -> Path:
    return keys[0].with_name("ours.pub")


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A bundle of release 5."""
    write(tmp_path / "x")
    sign_bundle(tmp_path / "x", read_private(keys[0]), 5)
    return tmp_path / "x"
