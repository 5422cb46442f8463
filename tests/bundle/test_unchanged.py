"""What was hashed is what is used, although somebody writes into the folder meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bundle_samples import write

from splitc.bundle import Bundle, open_bundle
from splitc.errors import BundleError

MODEL = "edge/model.onnx"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write(tmp_path / "x")
    return open_bundle(tmp_path / "x")


def write_over(place: Path) -> None:
    place.write_text("[]")


def replace(place: Path) -> None:
    other = place.with_name("other")
    other.write_bytes(place.read_bytes())
    other.rename(place)


def write_and_write_back(place: Path) -> None:
    """With the time of before: only the inode's own time tells."""
    whole, before = place.read_bytes(), place.stat()
    place.write_text("[]")
    place.write_bytes(whole)
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(place: Path) -> None:
    place.unlink()


@pytest.mark.parametrize("touch", [write_over, replace, write_and_write_back, remove])
def test_files_that_were_touched_while_they_were_used(bundle: Bundle, touch: Callable[[Path], None]) -> None:
    with (
        pytest.raises(BundleError, match=r"model\.onnx: (has changed since the bundle|cannot be read)"),
        bundle.unchanged([MODEL]),
    ):
        touch(bundle.edge_model)


@pytest.mark.parametrize("touch", [write_over, remove])
def test_files_that_were_touched_before(bundle: Bundle, touch: Callable[[Path], None]) -> None:
    touch(bundle.edge_model)
    with pytest.raises(BundleError), bundle.unchanged([MODEL]):
        pytest.fail("the block must not run")


def test_files_that_nobody_touched(bundle: Bundle) -> None:
    with bundle.unchanged([MODEL, "cloud/model.onnx"]):
        bundle.edge_model.read_bytes()


def test_bytes_are_hashed_as_they_are_read(bundle: Bundle) -> None:
    assert bundle.read_bytes(MODEL, 2) == b"{}"
    with pytest.raises(BundleError, match="more than the 1 that are read at once"):
        bundle.read_bytes(MODEL, 1)
    write_over(bundle.edge_model)
    with pytest.raises(BundleError, match="has changed since the bundle was opened"):
        bundle.read_bytes(MODEL)
