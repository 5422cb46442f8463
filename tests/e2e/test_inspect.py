"""``splitc inspect``: the table of cuts, the numbers at each, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from e2e_setting import cli
from onnx import parser
from refusals import assert_refused

TEXT = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,8,8] x) => (float[N,3] y) {
    a = Relu(x)  p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)  b = Neg(p)  g = GlobalAveragePool(b)
    y = Flatten(g) }"""


def setting(folder: Path) -> tuple[Path, Path]:
    path, data = folder / "m.onnx", folder / "x.npy"
    onnx.save(parser.parse_model(TEXT), path)
    np.save(data, np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32))
    return path, data


def test_stats_describe_every_cut(tmp_path: Path) -> None:
    path, data = setting(tmp_path)
    document = json.loads(cli("inspect", path, "--stats", data, "--json").out)
    stats = {one["name"]: one for one in document["stats"]}
    assert list(stats) == [cut["names"][0] for cut in document["cuts"]]
    assert stats["a"]["elements"] == 4 * 3 * 64
    assert 0.4 < stats["a"]["zeros_share"] < 0.6
    assert stats["a"]["negative_share"] == 0
    assert stats["b"]["exponential_rate"] is None


WIDE = """<ir_version: 8, opset_import: ["" : 17]> g (float[N,3] x, float[N,3] z) => (float[N,3] y) {
    a = Relu(x)  b = Tanh(z)  y = Add(a, b) }"""


def test_stats_describe_members_of_wide_cuts(tmp_path: Path) -> None:
    path, data = tmp_path / "wide.onnx", tmp_path / "x.npz"
    onnx.save(parser.parse_model(WIDE), path)
    np.savez(data, x=np.ones((2, 3), np.float32), z=np.zeros((2, 3), np.float32))
    document = json.loads(cli("inspect", path, "--stats", data, "--json").out)
    means = {one["name"]: one["mean"] for one in document["stats"]}
    assert means.keys() == {name for cut in document["cuts"] for name in cut["names"]}
    assert (means["a"], means["b"]) == (1, 0)


def test_stats_without_a_cut_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "none.onnx", tmp_path / "x.npy"
    onnx.save(parser.parse_model(WIDE.replace(", float[N,3] z", "").replace("(z)", "(x)")), path)
    np.save(data, np.ones((2, 3), np.float32))
    outcome = cli("inspect", path, "--max-tensors", 1, "--stats", data)
    assert_refused(outcome, 2, "no cut", "--cuts says why")


def test_text_has_tables(tmp_path: Path) -> None:
    path, data = setting(tmp_path)
    outcome = cli("inspect", path, "--cuts", "--stats", data)
    assert outcome.code == 0
    for words in ("kB float32 type ", "not cuts:", "zeros % [0,1] %", "float32"):
        assert words in outcome.out


LONG = TEXT.replace(
    "a = Relu(x)", "a = Relu(x)  k = Shape(x)  s = Constant<value_ints=[-1]>()  q = Reshape(x, s)"
).replace(
    "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)  b = Neg(p)",
    "model_features_stage_1_block_2_activation = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a)  "
    "b = Neg(model_features_stage_1_block_2_activation)",
)


def test_cuts_are_readable_at_80_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parser.parse_model(LONG), path)
    outcome = cli("inspect", path, "--cuts")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    table = lines[next(place for place, line in enumerate(lines) if "kB float32" in line) :]
    assert max(map(len, table)) <= 80
    assert "      model_features_stage_1_block_2_activation" in table
    refused = json.loads(cli("inspect", path, "--cuts", "--json").out)["rejected"]
    text = " ".join(outcome.out.split())
    assert refused
    for one in refused:
        assert ", ".join(one["names"]) in text
        assert f"{one['reason']}:" in text
    assert len([line for line in table if line.endswith(":")]) >= len({one["reason"] for one in refused})


def test_samples_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path, data = setting(tmp_path)
    np.save(data, np.zeros((1, 3, 9, 9), np.float32))
    assert_refused(cli("inspect", path, "--stats", data), 2, "x.npy", "input 'x' takes")
    assert_refused(cli("inspect", path, "--stats", tmp_path / "none"), 2, "none")
    assert_refused(cli("inspect", tmp_path), 2, "is a folder")
