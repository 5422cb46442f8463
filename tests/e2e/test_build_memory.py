"""A build holds no samples, no features beyond a bound, and no answers: ten times the samples take no more memory."""

from __future__ import annotations

import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from splitc import driver, trials

ROW = (4, 64, 64)
EACH = 4 * 64 * 64 * 4
"""Bytes of one sample, of its feature and of its answer."""
RECIPE = """schema = 1
name = "long"
[model]
source = "long.onnx"
[data]
task = "features"
calibration = "calibration.npy"
verification = "verification.npy"
[split]
at = ["f"]
[codec]
temporal = "dpcm"
"""


def peak_bytes(folder: Path, count: int) -> int:
    """Most memory that building on two clips of ``count`` frames allocates at once."""
    folder.mkdir()
    ends = [helper.make_tensor_value_info(name, 1, ["N", *ROW]) for name in "xfy"]
    nodes = [helper.make_node("Relu", ["x"], ["f"]), helper.make_node("Neg", ["f"], ["y"])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[2:], value_info=ends[1:2])
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "long.onnx")
    for seed, name in enumerate(("calibration", "verification")):
        frames = np.random.default_rng(seed).standard_normal((count, *ROW), np.float32)
        np.save(folder / f"{name}.npy", np.cumsum(frames, axis=3))
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    tracemalloc.start()
    try:
        driver.build(driver.load_recipe(folder / "recipe.toml"), folder / "out")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_long_clips_take_no_more_memory_than_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held, 160 more frames would take 10 MB of samples, as much of features, and of each stage's answers."""
    monkeypatch.setattr(trials, "within_budget", partial(trials.within_budget, most_bytes=30 * EACH))
    short = peak_bytes(tmp_path / "short", 40)
    assert peak_bytes(tmp_path / "long", 200) < short + 4_000_000  # the 2 MB that are fitted, twice
