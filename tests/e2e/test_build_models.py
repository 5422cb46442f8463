"""Models of every kind through ``splitc build``: old opsets, several inputs and outputs, odd names, half precision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import CUT, RECIPE, Net, build, cli, setting, tiny_net, write_setting

from splitc.bundle import open_bundle
from splitc.passes import raise_opset
from splitc.runtime import read_contract


@pytest.mark.parametrize("opset", [9, 11])
def test_an_old_opset_is_raised(opset: int, tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "old", tiny_net(opset=opset))
    outcome = build(folder, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    for side in ("edge", "cloud"):
        model = onnx.load(tmp_path / "x" / side / "model.onnx")
        assert model.opset_import[0].version >= 13
    stages = open_bundle(tmp_path / "x").read_json("verify.json")["stages"]
    assert stages[1]["name"] == "split"
    assert stages[1]["max_abs_diff"] == 0.0  # the conversion changes no arithmetic of these operators
    assert outcome.document["fidelity"] == 1.0


def resizing() -> onnx.ModelProto:
    """Of opset 10."""
    net = Net(2)
    x = net.op("Relu", [net.conv("image", "a", (3, 8))], CUT)
    x = net.op("Resize", [x, net.constant("scales", np.array([1, 1, 2, 2], np.float32))], "big", mode="linear")
    net.op("GlobalAveragePool", [net.conv(x, "b", (8, 10), stride=3)], "logits")
    return net.model([("image", ["N", 3, 32, 32])], [("logits", ["N", 10, 1, 1])], opset=10)


def test_resize_of_opset_10_reads_where_it_did(tmp_path: Path) -> None:
    """It places pixels otherwise than the default of any later one, which ONNX's converter does not say."""
    outcome = build(write_setting(tmp_path / "old", resizing()), tmp_path / "x")
    assert outcome.code == 0, outcome.err
    assert open_bundle(tmp_path / "x").read_json("verify.json")["stages"][1]["max_abs_diff"] == 0.0


def test_a_pass_that_changes_answers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raise_opset, "_spell_resize", lambda model: None)
    outcome = build(write_setting(tmp_path / "old", resizing()), tmp_path / "x")
    assert outcome.code == 1
    assert "preparing the model for the cut moves them by up to" in outcome.err
    assert "pass 'raise_opset' (converted from opset 10 to 13) changes the model's answers" in outcome.err
    assert "a fault of splitc, not of the model" in outcome.err


def copied_net() -> onnx.ModelProto:
    """A network whose cut is copied twice, and whose weights are computed by an operator."""
    net = Net(2)
    net.op("Relu", [net.conv("image", "a", (3, 8))], CUT)
    net.op("Dropout", [net.op("Identity", [CUT], "copy")], "copy/again")
    net.op("Neg", [net.constant("k", np.ones((1, 8, 1, 1), np.float32))], "minus")
    x = net.op("Mul", ["copy/again", "minus"], "scaled")
    net.op("GlobalAveragePool", [net.conv(x, "b", (8, 10), stride=3)], "logits")
    return net.model([("image", ["N", 3, 32, 32])], [("logits", ["N", 10, 1, 1])], opset=17)


@pytest.mark.parametrize("name", ["copy", "copy/again"])
def test_a_cut_at_a_copy_is_one_at_what_it_copies(name: str, tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "s", copied_net())
    outcome = build(folder, tmp_path / "x", "--set", f"split.at={json.dumps([name])}")
    assert outcome.code == 0, outcome.err
    assert outcome.document["cut"] == [CUT]
    notes = json.loads((tmp_path / "x/report.json").read_text())["notes"]
    assert f"split.at: {name!r} is a copy of {CUT!r}, which is cut" in notes


def test_a_cut_at_what_preparing_removed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.driver.kept_names.COPIES", frozenset())  # as if the copies were something else
    outcome = build(write_setting(tmp_path / "s", copied_net()), tmp_path / "x", "--set", 'split.at=["copy"]')
    assert outcome.code == 2
    assert "cut [copy]: preparing the model removed value 'copy'" in outcome.err


FEATURES = """\
name = "pairs"
[model]
source = "pairs.onnx"
[data]
calibration = "samples.npz"
verification = "others.npz"
task = "features"
[split]
at = "joined"
"""


def two_inputs_two_outputs(folder: Path) -> Path:
    """``left, right -> joined -> (sum, gate)`` with its samples, and a recipe."""
    net = Net(3)
    left = net.op("MatMul", ["left", net.weight("left.w", 12, 16)], "left/out")
    right = net.op("MatMul", ["right", net.weight("right.w", 6, 16)], "right/out")
    joined = net.op("Add", [left, right], "joined")
    net.op("MatMul", [joined, net.weight("sum.w", 16, 4)], "sum")
    net.op("Sigmoid", [joined], "gate")
    model = net.model([("left", ["N", 12]), ("right", ["N", 6])], [("sum", ["N", 4]), ("gate", ["N", 16])])
    folder.mkdir()
    onnx.save(model, folder / "pairs.onnx")
    random = np.random.default_rng(0)
    for name, count in (("samples", 64), ("others", 16)):
        sizes = {"left": 12, "right": 6}
        arrays = {key: random.standard_normal((count, size)).astype(np.float32) for key, size in sizes.items()}
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "recipe.toml").write_text(FEATURES)
    return folder


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    folder = two_inputs_two_outputs(tmp_path / "pairs")
    outcome = build(folder, tmp_path / "x", *setting("codec.step=0.05"))
    assert outcome.code == 0, outcome.err
    contract = read_contract(open_bundle(tmp_path / "x"))
    assert [spec.name for spec in contract.inputs] == ["left", "right"]
    assert [spec.name for spec in contract.outputs] == ["sum", "gate"]
    document = outcome.document
    assert document["samples"] == 16
    assert document["examples"] == []
    assert 0.99 < document["fidelity"] <= 1.0  # the range of 64 calibration samples clips a few of the others
    result = cli("run", tmp_path / "x", folder / "others.npz", "--json").document["results"]
    assert [one["input"] for one in result] == [f"others.npz#{index}" for index in range(16)]
    assert result[0]["answer"].keys() == {"sum", "gate"}


HOSTILE = "a<script>\"'&$(touch x)`;:, é"


def test_odd_names_go_through(tmp_path: Path) -> None:
    """A value name that is markup, shell and text at once: the cut, the graphs, the page and the script carry it."""
    model = tiny_net()
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [{CUT: HOSTILE, "image": "im age"}.get(name, name) for name in names]
    model.graph.input[0].name = "im age"
    folder = write_setting(tmp_path / "source", model, RECIPE.replace(f'"{CUT}"', json.dumps(HOSTILE)))
    outcome = build(
        folder, tmp_path / "x", *setting("target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nano")
    )
    assert outcome.code == 0, outcome.err
    assert outcome.document["cut"] == [HOSTILE]
    assert "<script>" not in (tmp_path / "x/report.html").read_text("utf-8")
    assert len(cli("run", tmp_path / "x", folder / "pictures", "--json").document["results"]) == 12
    assert cli("verify", tmp_path / "x", "--base", folder, "--json").document["ok"]


def test_half_precision_features(tmp_path: Path) -> None:
    """The cut value is float16: the codec sees float32, and the tail gets float16 back."""
    model = tiny_net()
    casts = [
        onnx.helper.make_node("Cast", [a], [b], to=t) for a, b, t in (("stem/out", "half", 10), ("half", "back", 1))
    ]
    nodes = list(model.graph.node)
    for node in nodes[2:]:
        node.input[:] = ["back" if name == "stem/out" else name for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:2], *casts, *nodes[2:]])
    folder = write_setting(tmp_path / "source", model, RECIPE.replace(CUT, "half"))
    for bits in (8, 12):
        outcome = build(folder, tmp_path / "x", *setting(f"codec.bits={bits}", "codec.entropy=range"))
        assert outcome.code == 0, outcome.err
        stages = {one["name"]: one for one in open_bundle(tmp_path / "x").read_json("verify.json")["stages"]}
        assert stages["split"]["max_abs_diff"] == 0.0
        assert stages["coded"]["cosine"] > 0.999  # 8 bits, rounded to 11 more


def test_external_weights_move_into_the_bundle(bundle: Path, tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source")
    model = onnx.load(folder / "tiny.onnx")
    onnx.save(model, folder / "tiny.onnx", save_as_external_data=True, location="tiny.data", size_threshold=0)
    assert build(folder, tmp_path / "x").code == 0
    for name in ("edge/model.onnx", "cloud/model.onnx", "contract.json"):
        assert (tmp_path / "x" / name).read_bytes() == (bundle / name).read_bytes()
