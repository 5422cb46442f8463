"""A bundle that somebody else sealed: its recipe reads nothing that was not named, its names move no cursor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import cli
from refusals import assert_refused

from splitc import driver
from splitc.bundle import open_bundle, write_manifest
from splitc.errors import BundleError
from splitc.runtime import CloudHalf


@pytest.fixture
def resealed(bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the shared bundle with texts of one file replaced, and sealed as if it were sound."""

    def make(name: str, *changes: tuple[str, str]) -> Path:
        copy = shutil.copytree(bundle, tmp_path / "stranger")
        text = (copy / name).read_text("utf-8")
        for old, new in changes:
            assert old in text, text
            text = text.replace(old, new, 1)
        (copy / name).write_text(text, "utf-8")
        manifest = json.loads((copy / "manifest.json").read_text())
        write_manifest(copy, **{key: manifest[key] for key in ("name", "splitc", "tools", "inputs")})
        return copy

    return make


OUTSIDE = ["/dev/zero", "/etc/passwd", "/usr/**/*.png", "../../*.png", "pictures/../../x.npy"]
CALIBRATION = '"pictures/*.png"'


@pytest.mark.parametrize("pattern", OUTSIDE)
def test_a_recipe_reads_nothing_outside(resealed: Callable[..., Path], source: Path, pattern: str) -> None:
    stranger = resealed("recipe.lock.toml", (CALIBRATION, json.dumps(pattern)))
    outcome = cli("verify", stranger, "--base", source, "--json")
    assert_refused(outcome, 2, "data.calibration: '", f"{pattern}' leads out of --base", "--data, --model and --labels")


@pytest.mark.parametrize("pattern", OUTSIDE)
def test_lint_reads_no_data(
    resealed: Callable[..., Path], source: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """So where the recipe's data lie says nothing against it; whoever looked for them would raise here."""
    monkeypatch.setattr(driver.data, "find_files", None)
    stranger = resealed("recipe.lock.toml", (CALIBRATION, json.dumps(pattern)))
    assert cli("verify", stranger, "--base", source, "--lint").code == 0


OUTSIDE_KEYS = (
    (CALIBRATION, '"../../pictures/*.png"'),
    ('"tiny.onnx"', '"/etc/x.onnx"'),
    ("[data.preprocess]", 'labels = "/etc/labels.csv"\n[data.preprocess]'),
    ("[target.edge]", '[target.edge]\nprofile = "../x.json"\ndevice = "/etc/x.toml"'),
)


def test_files_that_are_named_take_the_place_of_the_recipe_s(resealed: Callable[..., Path], source: Path) -> None:
    """The way out that refusals name works, one option after the other."""
    stranger = resealed("recipe.lock.toml", *OUTSIDE_KEYS)
    named: list[object] = []
    for key, option, place in (
        ("model.source", "--model", source / "tiny.onnx"),
        ("data.labels", "--data", source / "pictures"),
    ):
        assert_refused(cli("verify", stranger, *named), 2, f"{key}: '", "leads out of --base")
        named += [option, place]
    outcome = cli("verify", stranger, *named, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["ok"]


def test_labels_that_are_named_take_the_place_of_the_recipe_s(
    resealed: Callable[..., Path], source: Path, tmp_path: Path
) -> None:
    stranger = resealed("recipe.lock.toml", OUTSIDE_KEYS[2])
    (tmp_path / "labels.csv").write_text("".join(f"{one.name},1\n" for one in (source / "pictures").iterdir()))
    assert_refused(
        cli("verify", stranger, "--base", source), 2, "data.labels: '", "etc/labels.csv' leads out of --base"
    )
    outcome = cli("verify", stranger, "--base", source, "--labels", tmp_path / "labels.csv")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("model", ["/etc/x.onnx", "../tiny.onnx"])
def test_nor_a_model(resealed: Callable[..., Path], source: Path, model: str) -> None:
    stranger = resealed("recipe.lock.toml", ('"tiny.onnx"', json.dumps(model)))
    assert_refused(cli("verify", stranger, "--base", source), 2, "model.source: '", f"{model}' leads out of --base")


def test_nor_a_device(resealed: Callable[..., Path], source: Path) -> None:
    stranger = resealed("recipe.lock.toml", ("[target.edge]", '[target.edge]\ndevice = "/etc/x.toml"'))
    assert_refused(
        cli("verify", stranger, "--base", source, "--lint"),
        2,
        "target.edge.device: '",
        "/etc/x.toml' leads",
        "--target",
    )
    assert cli("verify", stranger, "--base", source, "--lint", "--target", "tensorrt-10.3").code == 0


@pytest.mark.parametrize("name", ["pipe.png", "pipe.npy", "pipe.mp4"])
def test_special_files_among_what_it_names_are_not_waited_for(
    resealed: Callable[..., Path], source: Path, tmp_path: Path, name: str
) -> None:
    if name.endswith("mp4"):
        pytest.importorskip("av")
    base = shutil.copytree(source, tmp_path / "base")
    os.mkfifo(base / "pictures" / name)
    stranger = resealed("recipe.lock.toml", (CALIBRATION, '"pictures/*"'))
    assert_refused(cli("verify", stranger, "--base", base), 2, f"{name}: is no plain file; name one.")


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n", "ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_a_video_that_is_a_list_of_others_is_not_followed(bundle: Path, tmp_path: Path, text: str) -> None:
    pytest.importorskip("av")
    (tmp_path / "x.mp4").write_text(text)
    assert_refused(cli("run", bundle, tmp_path / "x.mp4"), 2, "x.mp4: not a readable video")


def test_names_move_no_cursor(bundle: Path, tmp_path: Path) -> None:
    name = "\x1b[2J\x9b1A\u202egnp.npy"
    np.save(tmp_path / name, np.zeros((1, 3, 9, 9), np.float32))
    outcome = cli("run", bundle, tmp_path / name)
    assert_refused(outcome, 2, r"\x1b[2J\x9b1A\u202egnp.npy: gives float32")
    assert outcome.err.rstrip("\n").isprintable()


def test_names_in_json_mean_what_they_are(bundle: Path, tmp_path: Path) -> None:
    name = "\x9b1A\u202e.npy"
    np.save(tmp_path / name, np.zeros((1, 3, 32, 32), np.float32))
    outcome = cli("run", bundle, tmp_path / name, "--json")
    assert outcome.document["results"][0]["input"] == f"{name}#0"
    assert outcome.out.replace("\n", "").isprintable()


def test_a_model_that_is_replaced_once_the_bundle_is_open(bundle: Path, tmp_path: Path) -> None:
    """Between the check and the use: what runs is what was hashed, or nothing."""
    copy = shutil.copytree(bundle, tmp_path / "copy")
    opened = open_bundle(copy)
    (copy / "cloud/model.onnx").write_bytes((copy / "edge/model.onnx").read_bytes())
    with pytest.raises(BundleError):
        CloudHalf(opened)
