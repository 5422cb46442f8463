"""Recipes with a transform: built, verified and run; the choice is made by running the tail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import build, cli, setting, write_setting

from splitc import graph
from splitc.bundle import open_bundle
from splitc.runtime import read_contract


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_setting(tmp_path_factory.mktemp("transforms"))


@pytest.mark.parametrize("transform", ["dct", "klt", "auto"])
def test_a_build_verifies_and_runs(folder: Path, tmp_path: Path, transform: str) -> None:
    out = tmp_path / "x"
    outcome = build(folder, out, *setting(f"codec.transform={transform}", "codec.steps=sensitivity"))
    assert outcome.code == 0, outcome.err
    contract = read_contract(open_bundle(out))
    codec = contract.fitted_codec(open_bundle(out).pair_id)
    assert contract.quantized_in == "graph"
    assert codec.spec.transform in ({"none", "dct", "klt"} if transform == "auto" else {transform})
    operators = {node.op_type for node in graph.load(out / "cloud" / "model.onnx").ir_model.graph}
    assert ("ConvTranspose" in operators) == (codec.spec.transform != "none")
    assert cli("verify", out, "--base", folder).code == 0
    ran = cli("run", out, *sorted((folder / "pictures").iterdir())[:2], "--json")
    assert ran.code == 0, ran.err
    notes = json.loads((out / "report.json").read_text("utf-8"))["notes"]
    said = [note for note in notes if "of the designs tried" in note]
    assert len(said) == (transform == "auto")
    assert all(f"transform {codec.spec.transform!r}" in note for note in said)
    assert f'transform = "{transform}"' in (out / "recipe.lock.toml").read_text("utf-8")


def test_a_stream_of_planes(folder: Path, tmp_path: Path) -> None:
    """A closed loop quantizes on the host, transform and all."""
    outcome = build(folder, tmp_path / "x", *setting("codec.transform=klt", "codec.temporal=dpcm"))
    assert outcome.code == 0, outcome.err
    assert read_contract(open_bundle(tmp_path / "x")).quantized_in == "host"


def test_the_same_build_twice_is_the_same_bundle(folder: Path, tmp_path: Path) -> None:
    overrides = setting("codec.transform=auto")
    pairs = [build(folder, tmp_path / name, *overrides) for name in "ab"]
    assert [one.code for one in pairs] == [0, 0]
    assert open_bundle(tmp_path / "a").pair_id == open_bundle(tmp_path / "b").pair_id


def test_features_alone_choose_no_transform(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32))
    refused = cli("encode", tmp_path / "x.npy", "--out", tmp_path / "x.scs", "--codec", "fast,transform=auto")
    assert refused.code == 2
    assert "fitted by running the tail, which is not here" in refused.err
    done = cli("encode", tmp_path / "x.npy", "--out", tmp_path / "x.scs", "--codec", "fast,transform=klt")
    assert done.code == 0, done.err
    assert cli("decode", tmp_path / "x.scs", "--out", tmp_path / "y.npy").code == 0
    assert np.load(tmp_path / "y.npy").shape == (4, 3, 8, 8)
