"""Bytecode in the Triton folder would run in place of the file that was checked, so it is no part of any bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundle_samples import fill, write

from splitc.bundle import open_bundle, write_manifest
from splitc.errors import BundleError

MODEL = "cloud/triton/cpu/x_tail/1"


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A bundle with a model for Triton, and bytecode beside it."""

    def more(folder: Path) -> None:
        fill(folder)
        (folder / MODEL).mkdir(parents=True)
        (folder / MODEL / "model.py").write_text("pass\n")

    write(tmp_path / "x", more)
    (tmp_path / "x" / MODEL / "__pycache__").mkdir()
    (tmp_path / "x" / MODEL / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"anything")
    return tmp_path / "x"


@pytest.mark.parametrize("verify", [True, False])
def test_it_is_refused_with_the_way_out(planted: Path, verify: bool) -> None:
    with pytest.raises(BundleError, match=r"pyc is not listed .*PYTHONDONTWRITEBYTECODE=1"):
        open_bundle(planted, verify)


def test_triton_itself_may_have_written_it(planted: Path) -> None:
    assert open_bundle(planted, has_bytecode=True).name == "x"


def test_nothing_else_is_let_in_with_it(planted: Path) -> None:
    (planted / MODEL / "more.py").write_text("")
    with pytest.raises(BundleError, match=r"more\.py is not listed in manifest\.json\. "):
        open_bundle(planted, has_bytecode=True)


@pytest.mark.parametrize("folder", [f"{MODEL}/__pycache__", "edge/engines/orin/built"])
def test_it_is_not_let_in_by_a_manifest(planted: Path, folder: str) -> None:
    (planted / folder).mkdir(parents=True, exist_ok=True)
    (planted / folder / "planted").write_text("")
    with pytest.raises(BundleError, match="in a folder that is never part of a bundle"):
        write_manifest(planted, name="x", splitc="0.1.0", tools={}, inputs={})


def test_a_new_build_replaces_it(planted: Path) -> None:
    write(planted)
    assert not (planted / "cloud" / "triton").exists()
    assert json.loads((planted / "manifest.json").read_text())["name"] == "x"
