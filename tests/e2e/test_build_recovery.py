"""Recipes with [recovery]: the bottleneck is trained, judged by real bytes, folded into both halves, and verified."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import CUT, SIDE, build, cli, file_bytes, setting, write_setting
from PIL import Image

from splitc import graph
from splitc.bundle import open_bundle
from splitc.runtime import read_contract

pytest.importorskip("torch")
TRAINING = ("recovery.bottleneck={channels=4}", "recovery.iterations=30")
COARSE = "codec.step=2.0"


def more(folder: Path) -> list[str]:
    """Paths of ``--set`` are those of the current folder."""
    return [f"recovery.data={folder}/more/*.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual setting, and 72 smooth pictures that nobody verifies on."""
    folder = write_setting(tmp_path_factory.mktemp("recovery"))
    (folder / "more").mkdir()
    random = np.random.default_rng(5)
    for number in range(72):
        small = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / "more" / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def out(folder: Path) -> Path:
    out = folder / "out"
    outcome = build(folder, out, *setting(*TRAINING, *more(folder), COARSE))
    assert outcome.code == 0, outcome.err
    assert outcome.document["recovery"]["is_kept"], outcome.document["recovery"]
    return out


def test_fewer_bytes_cross_at_an_equal_divergence(out: Path) -> None:
    found = json.loads((out / "report.json").read_text("utf-8"))["recovery"]
    assert found["cut"] == [CUT]
    assert found["chosen"]["payload_bytes"] < found["training_free"]["payload_bytes"]
    assert found["chosen"]["divergence"] <= 1.02 * found["training_free"]["divergence"]
    assert len(found["curve"]) == 30


def test_both_ends_are_plain_onnx_in_the_halves(out: Path) -> None:
    (spec,) = read_contract(open_bundle(out)).cut
    assert spec.name == f"{CUT}.bottleneck"
    assert spec.shape[1:] == (4, 8, 8)
    tail = graph.load(out / "cloud" / "model.onnx").ir_model
    assert {node.domain for node in tail.graph} == {""}
    assert "ConvTranspose" in {node.op_type for node in tail.graph}


def test_levels_are_those_that_were_judged_whatever_calibrates(folder: Path, out: Path, tmp_path: Path) -> None:
    """Other calibration pictures have another spread, of which ``codec.step`` is a share."""
    smooth = setting(f"data.calibration={folder}/more/*.png", f"data.verification={folder}/pictures/*.png")
    assert build(folder, tmp_path / "x", *setting(*TRAINING, *more(folder), COARSE), *smooth).code == 0
    steps = []
    for one in (open_bundle(out), open_bundle(tmp_path / "x")):
        params = read_contract(one).fitted_codec(one.pair_id).tensors[0].params
        steps.append(1 / float(params.scale[0]))
    assert steps[0] == pytest.approx(steps[1], rel=1e-3)  # float32 spreads


def test_the_bundle_verifies_and_runs(folder: Path, out: Path) -> None:
    verified = cli("verify", out, "--base", folder, "--json")
    assert verified.code == 0, verified.err
    stages = {one["name"]: one for one in verified.document["stages"]}
    assert stages["split"]["max_abs_diff"] == 0  # the model's own cut, without the bottleneck
    assert stages["coded"]["divergence"] > 0
    ran = cli("run", out, *sorted((folder / "pictures").iterdir())[:2], "--json")
    assert ran.code == 0, ran.err


def test_the_page_shows_what_was_won(out: Path) -> None:
    page = (out / "report.html").read_text("utf-8")
    assert "<h2>Recovery</h2>" in page


def test_the_same_build_twice_is_the_same_bundle(folder: Path, out: Path, tmp_path: Path) -> None:
    assert build(folder, tmp_path / "x", *setting(*TRAINING, *more(folder), COARSE)).code == 0
    assert file_bytes(tmp_path / "x") == file_bytes(out)


def test_the_lock_pins_what_was_trained_on(folder: Path, out: Path, tmp_path: Path) -> None:
    lock = (out / "recipe.lock.toml").read_text("utf-8")
    (tmp_path / "recipe.lock.toml").write_text(lock, "utf-8")
    again = cli("build", tmp_path / "recipe.lock.toml", "--base", folder, "--locked", "--out", tmp_path / "x", "--json")
    assert again.code == 0, again.err
    assert file_bytes(tmp_path / "x") == file_bytes(out)
    fewer = setting(f"recovery.data={folder}/more/0*.png")
    refused = cli("build", tmp_path / "recipe.lock.toml", "--base", folder, "--out", tmp_path / "y", *fewer)
    assert refused.code == 2
    assert "recovery.sha256: pinned as" in refused.err


def test_where_no_bytes_are_saved_nothing_is_changed(folder: Path, tmp_path: Path) -> None:
    overrides = ("recovery.bottleneck={channels=1}", "recovery.iterations=1", "codec.step=0.05")
    outcome = build(folder, tmp_path / "x", *setting(*overrides, *more(folder)))
    assert outcome.code == 0, outcome.err
    assert outcome.document["recovery"]["is_kept"] is False
    assert [one.name for one in read_contract(open_bundle(tmp_path / "x")).cut] == [CUT]
    assert cli("verify", tmp_path / "x", "--base", folder).code == 0


REFUSALS = [
    pytest.param(["recovery={seed=1}"], "recovery: asks for nothing", id="nothing"),
    pytest.param([*TRAINING, "codec.quantizer=log"], "codec.quantizer is 'log'; use \"step\"", id="quantizer"),
    pytest.param(["recovery.bottleneck=auto"], "9 samples to train on and to judge by are too few", id="few"),
    pytest.param([*TRAINING, "recovery.data=FOLDER/pictures/*.png"], "verifies; train on other files", id="verifies"),
    pytest.param([*TRAINING, "recovery.bottleneck={stride=3}"], "stride", id="stride"),
    pytest.param(
        [*TRAINING, "recovery.data=FOLDER/more/*.png", "recovery.bottleneck={channels=33}"],
        "33 are more than the 32 components of a block of 2 x 2 places of 8 channels",
        id="width",
    ),
    pytest.param(
        [*TRAINING, "recovery.data=FOLDER/more/*.png", "split.at=flat"], "takes float32 maps [N, C, H, W]", id="flat"
    ),
]


@pytest.mark.parametrize(("overrides", "said"), REFUSALS)
def test_what_cannot_be_trained_is_refused(folder: Path, tmp_path: Path, overrides: list[str], said: str) -> None:
    outcome = build(folder, tmp_path / "x", *setting(*(one.replace("FOLDER", str(folder)) for one in overrides)))
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "x").exists()


def test_without_torch_the_extra_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    outcome = build(folder, tmp_path / "x", *setting(*TRAINING))
    assert outcome.code == 3
    assert "install splitc[train]" in outcome.err


def test_a_bundle_without_recovery_is_recovered(folder: Path, out: Path, tmp_path: Path) -> None:
    assert build(folder, tmp_path / "plain", *setting(COARSE)).code == 0
    trained = ["--data", f"{folder}/more/*.png", *setting(*TRAINING)]
    found = cli("recover", tmp_path / "plain", "--out", tmp_path / "x", "--base", folder, *trained, "--json")
    assert found.code == 0, found.err
    assert found.document["recovery"]["is_kept"]
    halves = [(one / side / "model.onnx").read_bytes() for one in (out, tmp_path / "x") for side in ("edge", "cloud")]
    assert halves[:2] == halves[2:]


def test_a_strangers_recipe_trains_on_no_other_folder(folder: Path, out: Path, tmp_path: Path) -> None:
    inside = folder / "pictures"  # "../more" leads out of it
    refused = cli("recover", out, "--out", tmp_path / "x", "--base", inside)
    assert refused.code == 2
    assert not (tmp_path / "x").exists()
