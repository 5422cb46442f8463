"""Builds of strangers' networks whose values have the names that a build wants for its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import build
from refusals import assert_refused

from splitc.bundle import open_bundle

sys.path.insert(0, str(Path(__file__).parents[1] / "passes"))
import strangers


def write(folder: Path, model: onnx.ModelProto, at: str, more: str = "") -> Path:
    """The model, samples of it and a recipe that cuts at ``at``."""
    (folder / "data").mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    (given,) = (one.name for one in model.graph.input)
    random = np.random.default_rng(0)
    for index in range(8):
        x = random.standard_normal((1, 3, strangers.SIDE, strangers.SIDE)).astype(np.float32)
        np.savez(folder / "data" / f"{index}.npz", **{given: x})
    recipe = 'schema = 1\nname = "stranger"\n[model]\nsource = "model.onnx"\n[data]\ncalibration = "data"\n'
    (folder / "recipe.toml").write_text(f'{recipe}task = "features"\n[split]\nat = {json.dumps(at)}\n{more}', "utf-8")
    return folder


NAMES: list[tuple[str, str]] = [
    ("symbols", "act"),
    ("symbols-of-the-first-relu", "r0"),
    ("symbols-in-both-branches", "r0"),
    ("quantizer-of-the-cut", "r0"),
    ("dequantizer-of-the-cut", "r0"),
]


@pytest.mark.parametrize(("name", "at"), NAMES, ids=[name for name, _ in NAMES])
@pytest.mark.parametrize("more", ["", '[codec]\nquantizer = "uniform"\nscope = "channel"\nprofile = "fast"\n'])
def test_taken_names_are_no_matter(name: str, at: str, more: str, tmp_path: Path) -> None:
    make: Callable[[], onnx.ModelProto] = strangers.TAKEN[name]
    outcome = build(write(tmp_path / "setting", make(), at, more), tmp_path / "x")
    assert outcome.code == 0, outcome.err
    stages = {one["name"]: one for one in open_bundle(tmp_path / "x").read_json("verify.json")["stages"]}
    assert stages["split"]["max_abs_diff"] == 0.0
    assert stages["coded"]["cosine"] > 0.9
    assert onnx.load(tmp_path / "x" / "edge" / "model.onnx").graph.output[0].name == f"{at}.symbols"


def test_an_input_with_the_name_of_the_symbols_is_named(tmp_path: Path) -> None:
    model = strangers.Stranger().end("r0")
    model.graph.input[0].name = "r0.symbols"
    model.graph.node[0].input[0] = "r0.symbols"
    outcome = build(write(tmp_path / "setting", model, "r0"), tmp_path / "x")
    assert_refused(outcome, 2, "its symbols would be called 'r0.symbols' as an input or output of the model is")
