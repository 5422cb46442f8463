"""Networks whose answers are no logits of classes, from the recipe to the verdict, which must be of the answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from e2e_setting import RECIPE, SIDE, Net, build, cli, file_bytes, setting, write_setting
from onnx import ModelProto
from PIL import Image

from splitc.bundle import open_bundle
from splitc.runtime import bound_task, read_contract

CUT_RECIPE = RECIPE.replace('at = "block/out"', 'at = "stem"')
DETECTION = 'task = "detection"\n[data.detection]\nanchors = [[12, 12]]\nscore = 0.4\n'


def body(net: Net) -> str:
    """``[N, 8, 16, 16]`` behind the cut's value ``stem``."""
    net.op("Relu", [net.conv("image", "stem/conv", (3, 8), stride=2)], "stem")
    return net.op("Relu", [net.conv("stem", "deep/conv", (8, 8))], "deep")


def scores(count: int, *ends: str) -> ModelProto:
    """A network of ``count`` scores, with ``ends`` one after the other."""
    net = Net(5)
    pooled = net.op("Flatten", [net.op("GlobalAveragePool", [body(net)], "pooled")], "flat")
    x = net.op(
        "MatMul", [pooled, net.constant("head.w", net.random.standard_normal((8, count)).astype(np.float32))], "s"
    )
    for end in ends:
        x = net.op(end, [x], end.lower())
    return net.model([("image", ["N", 3, SIDE, SIDE])], [(x, ["N", count])])


def detector() -> ModelProto:
    """One YOLOv3 map ``[N, 5 + 2, 4, 4]`` of one anchor."""
    net = Net(6)
    deep = net.op("Relu", [net.conv(body(net), "down/conv", (8, 16), stride=2)], "down")
    return net.model([("image", ["N", 3, SIDE, SIDE])], [(net.conv(deep, "map", (16, 7), stride=2), ["N", 7, 4, 4])])


def written(folder: Path, model: ModelProto, data: str = "") -> Path:
    recipe = CUT_RECIPE.replace("[data.preprocess]", f"{data}[data.preprocess]")
    return write_setting(folder / "source", model, recipe)


def test_a_detector_from_a_recipe_to_a_drawn_picture(tmp_path: Path) -> None:
    folder = written(tmp_path, detector(), DETECTION)
    outcome = build(folder, tmp_path / "x", *setting("codec.quantizer=uniform", "codec.bits=1"))
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["task"] == "detection"
    assert document["headline"].startswith("F1 of the boxes against the unsplit network's (score from 0.4")
    assert document["headline"].endswith("Few samples: 3, fewer than 30; the interval says what they can show.")
    assert document["agreement"]["details"]["boxes_reference"] > 0
    assert document["fidelity"] == document["agreement"]["fidelity"]["value"] < 1
    assert document["kl"] == document["agreement"]["divergence"] > 0
    assert document["baseline_top1"] is None
    task = bound_task(read_contract(open_bundle(tmp_path / "x")))
    assert (task.task.name, task.reads, task.is_settled) == ("detection", ("map",), True)
    assert document["headline"].partition(",")[0] in (tmp_path / "x/report.html").read_text("utf-8").replace(
        "&#x27;", "'"
    )
    found = cli("run", tmp_path / "x", folder / "pictures/picture00.png", "--json", "--draw", tmp_path / "drawn")
    assert found.code == 0, found.err
    assert found.document["results"][0]["answer"]["boxes"]
    assert Image.open(tmp_path / "drawn/picture00.png").size == Image.open(folder / "pictures/picture00.png").size


def test_a_detector_s_verdict_is_that_of_the_build(tmp_path: Path) -> None:
    folder = written(tmp_path, detector(), DETECTION)
    built = build(folder, tmp_path / "x", *setting("codec.quantizer=uniform", "codec.bits=3"))
    found = cli("verify", tmp_path / "x", "--base", folder, "--json")
    assert found.code == 0, found.err
    assert found.document["headline"] == built.document["headline"]
    assert [one["agreement"] for one in found.document["stages"]][3] == built.document["agreement"]


def test_the_lock_of_a_detector_builds_the_same_bundle(tmp_path: Path) -> None:
    folder = written(tmp_path, detector(), DETECTION)
    assert build(folder, tmp_path / "x").code == 0
    again = cli("build", tmp_path / "x/recipe.lock.toml", "--base", folder, "--locked", "--out", tmp_path / "y")
    assert again.code == 0, again.err
    assert file_bytes(tmp_path / "y") == file_bytes(tmp_path / "x")


def test_masks_of_any_size_are_compared(tmp_path: Path) -> None:
    """Pictures keep their sizes, and so do the masks."""
    net = Net(7)
    net.op("Relu", [net.conv("image", "stem/conv", (3, 8))], "stem")
    model = net.model([("image", ["N", 3, "H", "W"])], [(net.conv("stem", "masks", (8, 4)), ["N", 4, "H", "W"])])
    recipe = CUT_RECIPE.replace("[data.preprocess]", 'task = "segmentation"\n[data.preprocess]')
    folder = write_setting(tmp_path / "source", model, recipe.replace(f"resize = {SIDE}\ncrop = {SIDE}\n", ""))
    for index, picture in enumerate(sorted((folder / "pictures").glob("*.png"))):
        Image.open(picture).crop((0, 0, 24 + 2 * index, 20 + index)).save(picture)
    outcome = build(folder, tmp_path / "x", *setting("codec.quantizer=uniform", "codec.bits=2"))
    assert outcome.code == 0, outcome.err
    assert "mIoU" in outcome.document["headline"] or "intersection over union" in outcome.document["headline"]
    assert 0 < outcome.document["fidelity"] < 1


def test_labels_of_boxes_give_a_map(tmp_path: Path) -> None:
    """Labels that no network of random weights finds: nothing to lose, so nothing that a gate could hold."""
    pytest.importorskip("pycocotools")
    folder = written(tmp_path, detector(), DETECTION.replace("\n[", '\nlabels = "labels"\n[', 1))
    (folder / "labels").mkdir()
    for picture in (folder / "pictures").glob("*.png"):
        (folder / "labels" / f"{picture.stem}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (folder / "labels/classes.txt").write_text("cat\ndog\n")
    outcome = build(folder, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    notes = open_bundle(tmp_path / "x").read_json("report.json")["notes"]
    assert "names of the 2 classes: classes.txt beside data.labels" in notes
    assert read_contract(open_bundle(tmp_path / "x")).classes == ["cat", "dog"]
    (measured,) = (one for one in outcome.document["agreement"]["accuracy"] if one["name"] == "map50_95")
    assert (measured["reference"], measured["labelled"]) == (0, 3)
    refused = build(folder, tmp_path / "y", *setting("gate.max_map_drop=0.5"))
    assert refused.code == 2
    assert "the unsplit network scores 0 against the labels (3 labelled), so no loss can show" in refused.err


def test_probabilities_are_never_softmaxed_again(tmp_path: Path) -> None:
    """The same network with its softmax at the end: the same divergence, where a second softmax made it too small."""
    coarse = setting("codec.quantizer=uniform", "codec.bits=2")
    logits = build(written(tmp_path / "a", scores(5)), tmp_path / "a/x", *coarse).document
    shares = build(written(tmp_path / "b", scores(5, "Softmax")), tmp_path / "b/x", *coarse).document
    assert shares["kl"] == pytest.approx(logits["kl"], rel=1e-3)  # probabilities are float32
    assert logits["kl"] > 0
    assert shares["fidelity"] == logits["fidelity"]
    contract = read_contract(open_bundle(tmp_path / "b/x"))
    assert contract.task_options["activation"] == "probabilities"
    assert read_contract(open_bundle(tmp_path / "a/x")).task_options == {}
    notes = open_bundle(tmp_path / "b/x").read_json("report.json")["task_notes"]
    assert any("is probabilities already: rows sum to 1" in note for note in notes)


@pytest.mark.parametrize("ends", [(), ("Sigmoid",)], ids=["logit", "probability"])
def test_one_output_is_a_yes_or_no_whose_change_is_seen(ends: tuple[str, ...], tmp_path: Path) -> None:
    """Softmax of one value is 1 whatever it is: fidelity 1 and KL 0 said nothing."""
    folder = written(tmp_path, scores(1, *ends))
    outcome = build(folder, tmp_path / "x", *setting("codec.quantizer=uniform", "codec.bits=1"))
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert document["kl"] > 0
    assert document["agreement"]["details"]["largest_probability_change"] > 0
    assert "The largest change of a probability is " in document["headline"]


def test_a_gate_on_the_lower_bound_is_harder(tmp_path: Path) -> None:
    """Three of three samples agree: the value is 1, and the bound is what three can show."""
    folder = written(tmp_path, scores(5))
    fine = ["codec.quantizer=uniform", "codec.bits=8", "gate.min_fidelity=0.9"]
    assert build(folder, tmp_path / "x", *setting(*fine)).code == 0
    outcome = build(folder, tmp_path / "y", *setting(*fine, "gate.confidence=0.95"))
    assert outcome.code == 1
    (gate,) = outcome.document["gates"]
    assert gate["value"] == outcome.document["agreement"]["fidelity"]["lower"] == pytest.approx(0.4385, abs=1e-4)
    assert gate["source"] == "verification: lower bound, 95 % interval"


def test_a_kl_gate(tmp_path: Path) -> None:
    folder = written(tmp_path, scores(5))
    coarse = ["codec.quantizer=uniform", "codec.bits=2"]
    document = build(folder, tmp_path / "x", *setting(*coarse, "gate.max_kl=100.0")).document
    (gate,) = document["gates"]
    assert gate["value"] == document["kl"]
    assert build(folder, tmp_path / "y", *setting(*coarse, f"gate.max_kl={document['kl'] / 2}")).code == 1
    bound = build(folder, tmp_path / "z", *setting(*coarse, "gate.max_kl=100.0", "gate.confidence=0.95")).document
    assert bound["gates"][0]["value"] > document["kl"]
