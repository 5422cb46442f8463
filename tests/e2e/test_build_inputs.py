"""Inputs that users have: preprocessing in the graph, letterboxes, other layouts and types, states beside pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import CUT, RECIPE, SIDE, Net, build, cli, features_to_logits, setting, write_setting

from splitc.backends import read_interface
from splitc.bundle import open_bundle
from splitc.runtime import read_contract

INSIDE = RECIPE.replace("[data.preprocess]", "[data.preprocess]\nin_graph = true")
BOXED = RECIPE.replace(f"resize = {SIDE}\ncrop = {SIDE}", f'resize = [{SIDE}, {SIDE}]\nfit = "letterbox"')


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder of the recipe, and its bundle with preprocessing in the graph."""
    folder = write_setting(tmp_path_factory.mktemp("inside"), recipe=INSIDE)
    out = tmp_path_factory.mktemp("built") / "x"
    outcome = build(folder, out)
    assert outcome.code == 0, outcome.err
    return folder, out


def test_preprocessing_in_the_graph_changes_no_answer(inside: tuple[Path, Path], bundle: Path) -> None:
    """The same float32 operations in the same order, on the host and in the graph: the same bits at the cut."""
    folder, out = inside
    (spec,) = read_interface(out / "edge/model.onnx").inputs
    assert (spec.name, spec.dtype, spec.shape) == ("image", "uint8", ("N", SIDE, SIDE, 3))
    contract = read_contract(open_bundle(out))
    assert contract.inputs == [spec]
    assert contract.preprocess.in_graph
    mine, usual = (open_bundle(one).read_json("verify.json") for one in (out, bundle))
    assert mine["stages"] == usual["stages"]
    assert mine["payload_bytes_mean"] == usual["payload_bytes_mean"]
    pictures = sorted((folder / "pictures").iterdir())
    answers, wanted = (cli("run", one, *pictures, "--json").document["results"] for one in (out, bundle))
    for got, want in zip(answers, wanted, strict=True):
        assert (got["answer"], got["payload_bytes"]) == (want["answer"], want["payload_bytes"])


def test_commands_see_pixels(inside: tuple[Path, Path], tmp_path: Path) -> None:
    folder, out = inside
    verified = cli("verify", out, "--base", folder, "--json")
    assert verified.code == 0, verified.err
    assert verified.document["ok"]
    named = cli("verify", out, "--base", folder, "--model", folder / "tiny.onnx", "--json")
    assert named.document["ok"]
    assert cli("verify", out, "--lint").code == 0
    profiled = cli("profile", out, "--side", "edge", "--samples", 2, "--json")
    assert profiled.code == 0, profiled.err
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "floats.npy", pixels.astype("f4"))
    assert len(cli("run", out, tmp_path / "pixels.npy", "--json").document["results"]) == 2
    refused = cli("run", out, tmp_path / "floats.npy")
    assert refused.code == 2
    assert "gives float32 [1, 32, 32, 3], input 'image' takes uint8" in refused.err
    notes = json.loads((out / "report.json").read_text("utf-8"))["notes"]
    assert any("'image' takes uint8" in note for note in notes)


def test_no_cut_lies_inside_preprocessing(inside: tuple[Path, Path], tmp_path: Path) -> None:
    folder, _ = inside
    planned = cli("build", folder / "recipe.toml", "--dry-run", "--json", *setting("split.at=auto"))
    assert planned.code == 0, planned.err
    cuts = [name for point in planned.document["points"] for name in point["cut"] or []]
    assert CUT in cuts
    assert not [name for name in cuts if name.startswith("image")]
    outcome = build(folder, tmp_path / "x", *setting("split.at=image.splitc_preprocess/normalized"))
    assert outcome.code == 2
    assert "is the picture itself, inside preprocessing in the graph" in outcome.err


def test_letterboxed_pictures_build_and_run(tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source", recipe=BOXED)
    outcome = build(folder, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    notes = json.loads((tmp_path / "x/report.json").read_text("utf-8"))["notes"]
    assert "pictures are letterboxed to 32 x 32 (height x width), with a border of 114 (centre)" in notes
    how = read_contract(open_bundle(tmp_path / "x")).preprocess
    assert (how.fit, how.pad, how.anchor) == ("letterbox", 114, "centre")
    again = cli("verify", tmp_path / "x", "--base", folder, "--json").document
    assert again["stages"] == open_bundle(tmp_path / "x").read_json("verify.json")["stages"]


def test_the_contract_of_a_plain_recipe_has_no_new_key(bundle: Path) -> None:
    """Runtimes of before read it."""
    how = json.loads((bundle / "contract.json").read_text("utf-8"))["preprocess"]
    assert how.keys() == {"resize", "crop", "interpolation", "scale", "mean", "std", "channels"}


def baselines(out: Path) -> dict[str, tuple[float, float]]:
    """Packet bytes and fidelity of each, by name."""
    rows = json.loads((out / "report.json").read_text("utf-8"))["plan"]["baselines"]
    return {row["name"]: (row["payload_bytes"], row["fidelity"]) for row in rows}


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_the_picture_that_is_sent_is_the_same_inside_and_outside(channels: str, tmp_path: Path) -> None:
    """Its JPEG row undoes the preprocessing of the host, and has nothing to undo where the graph does it."""
    found = []
    for name, recipe in (("host", RECIPE), ("inside", INSIDE)):
        keys = f'[data.preprocess]\nchannels = "{channels}"'
        folder = write_setting(tmp_path / name, recipe=recipe.replace("[data.preprocess]", keys))
        assert build(folder, tmp_path / f"{name}-x").code == 0
        found.append(baselines(tmp_path / f"{name}-x"))
    assert found[0] == found[1]
    assert any("JPEG quality" in name for name in found[0])


def test_grey_networks_have_a_grey_jpeg(tmp_path: Path) -> None:
    net = Net(5)
    features_to_logits(net, net.op("Relu", [net.conv("image", "stem", (1, 8), stride=2)], CUT))
    model = net.model([("image", ["N", 1, SIDE, SIDE])], [("logits", ["N", 10])])
    how = f'resize = {SIDE}\ncrop = {SIDE}\nchannels = "grey"\nmean = [0.5]\nstd = [0.25]\n'
    recipe = RECIPE[: RECIPE.index("resize")] + how + RECIPE[RECIPE.index("\n[split]") :]
    outcome = build(write_setting(tmp_path / "source", model, recipe), tmp_path / "x")
    assert outcome.code == 0, outcome.err
    assert any("JPEG quality" in name for name in baselines(tmp_path / "x"))


def nhwc_net(dtype: int) -> onnx.ModelProto:
    """The usual network behind ``uint8`` or ``float`` pixels ``[N, H, W, C]``, as TensorFlow exports it."""
    net = Net(5)
    floats = net.op("Cast", ["image"], "floats", to=onnx.TensorProto.FLOAT)
    scaled = net.op("Mul", [floats, net.constant("scale", np.float32(1 / 255))], "scaled")
    planes = net.op("Transpose", [scaled], "planes", perm=[0, 3, 1, 2])
    features_to_logits(net, net.op("Relu", [net.conv(planes, "stem", (3, 8), stride=2)], CUT))
    model = net.model([("image", ["N", SIDE, SIDE, 3])], [("logits", ["N", 10])])
    model.graph.input[0].type.tensor_type.elem_type = dtype
    return model


@pytest.mark.parametrize("dtype", ["UINT8", "FLOAT", "FLOAT16"])
def test_networks_with_channels_last(dtype: str, tmp_path: Path) -> None:
    how = f"resize = {SIDE}\ncrop = {SIDE}\nscale = 1.0\n"
    recipe = RECIPE[: RECIPE.index("resize")] + how + RECIPE[RECIPE.index("\n[split]") :]
    folder = write_setting(tmp_path / "source", nhwc_net(getattr(onnx.TensorProto, dtype)), recipe)
    outcome = build(folder, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    assert any("JPEG quality" in name for name in baselines(tmp_path / "x"))


def test_sounds_with_a_state_and_a_rate(tmp_path: Path) -> None:
    """As recurrent speech models take them: a state ``[2, N, 4]`` and a scalar, the same for every sample."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,8] sound, float[2,1,4] state, int64 rate) => (float[1,4] scores) {
      axis = Constant<value_ints = [0]>()
      sum = ReduceSum<keepdims = 0>(state, axis)
      first, second = Split<axis = 1, num_outputs = 2>(sound)
      mixed = Add(first, sum)
      speed = Cast<to = 1>(rate)
      part = Mul(mixed, speed)
      lit = Relu(part)
      both = Add(lit, second)
      scores = Tanh(both)
    }""".replace("17", "18")
    random = np.random.default_rng(0)
    recipe = (
        RECIPE[: RECIPE.index("[data]")]
        + '[data]\ncalibration = ["*.npz"]\ntask = "features"\n[split]\nat = ["lit", "second"]\n'
    )
    folder = write_setting(tmp_path / "source", onnx.parser.parse_model(text), recipe)
    for name in "ab":
        sound, state = random.standard_normal((5, 8)), random.standard_normal((2, 1, 4))
        np.savez(folder / f"{name}.npz", sound=sound, state=state, rate=np.array(2))
    outcome = build(folder, tmp_path / "x")
    assert outcome.code == 0, outcome.err
    notes = json.loads((tmp_path / "x/report.json").read_text("utf-8"))["notes"]
    assert "input 'sound' from float64 to float32, in 2 files" in notes
    ran = cli("run", tmp_path / "x", folder / "a.npz", "--json")
    assert len(ran.document["results"]) == 5
    assert "from float64 to float32" in ran.err


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lowered_halves_take_pixels_too(precision: str, inside: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = build(inside[0], tmp_path / "x", *setting(f"weights.precision={precision}"))
    assert outcome.code == 0, outcome.err
    assert outcome.document["fidelity"] == 1.0
    assert [spec.dtype for spec in read_interface(tmp_path / "x/edge/model.onnx").inputs] == ["uint8"]


def test_statistics_fit_pictures_to_channels_last(tmp_path: Path) -> None:
    folder = write_setting(tmp_path / "source", nhwc_net(onnx.TensorProto.UINT8))
    picture = folder / "pictures/picture00.png"
    outcome = cli("inspect", folder / "tiny.onnx", "--stats", picture, "--json")
    assert outcome.code == 0, outcome.err
