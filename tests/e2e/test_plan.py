"""``splitc plan``: measured points beside edge-only, cloud-only and JPEG; links, traces, profiles, refusals."""

from __future__ import annotations

import os
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import CUT, Net, cli, setting

from splitc import driver
from splitc.device import load_device
from splitc.records import Effort, profile_onnxruntime, write_record

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
MOBILENET = DATA / "models" / "mobilenet_v2_imagenet.onnx"
needs_data = pytest.mark.skipif(not MOBILENET.is_file(), reason=f"no models and pictures in {DATA} (set SPLITC_DATA)")
AUTO = setting("split.at=auto", "split.candidates=3")
LINKS_MBPS = [1.0, 5.0, 20.0, 100.0]


def test_a_recipe_is_planned_with_real_bytes(source: Path) -> None:
    levels = setting("codec.reconstruction=midpoint")  # at which the first three cuts are good enough to stop at
    outcome = cli("plan", source / "recipe.toml", "--json", "--bits", "2,4", *AUTO, *levels)
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert {point["bits"] for point in document["points"]} == {2, 4}
    assert len(document["points"]) == 6
    assert all(point["is_measured"] and 0 <= point["fidelity"] <= 1 for point in document["points"])
    names = [one["name"] for one in document["baselines"]]
    assert names[:2] == ["edge only", "cloud only, 8-bit input uncompressed"]
    assert names[2].startswith("cloud only, JPEG quality ")
    ways = [*document["points"], *document["baselines"]]
    assert document["chosen"] in ways
    assert document["chosen"]["total_ms"] == min(way["total_ms"] for way in ways)
    assert any(way["pareto"] for way in ways)
    assert document["replay"] is None
    assert all(one["names"] and one["reason"] for one in document["rejected"])


def test_jpeg_answers_as_well_as_the_cut(source: Path) -> None:
    document = cli("plan", source / "recipe.toml", "--json", *AUTO).document
    jpeg, best = document["baselines"][2], document["best_cut"]
    assert jpeg["is_measured"]
    assert jpeg["divergence"] == pytest.approx(best["divergence"]) or is_at_an_end(jpeg["name"], ("100", "5"))
    assert (jpeg["encode_ms"] > 0) == (jpeg["decode_ms"] > 0) is True
    assert 0 < jpeg["payload_bytes"] < document["baselines"][1]["payload_bytes"]


def is_at_an_end(name: str, settings: tuple[str, str]) -> bool:
    """Whether a coding is at its best or its worst setting: what is asked for lies beyond."""
    return name.split()[-1] in settings


def test_the_verdict_is_data_and_comes_first(source: Path) -> None:
    arguments = ["plan", source / "recipe.toml", *AUTO, "--uplink", "1,100"]
    document = cli(*arguments, "--json").document
    verdict = document["verdict"]
    assert verdict.keys() == {"is_worth_it", "headline", "warnings", "rivals", "nearest"}
    fastest = min(one["total_ms"] for one in verdict["rivals"])
    assert verdict["is_worth_it"] == (document["best_cut"]["total_ms"] <= fastest)
    assert verdict["rivals"] == sorted(verdict["rivals"], key=lambda one: one["total_ms"])
    shown = cli(*arguments).out
    first = shown.splitlines()[2]
    assert verdict["headline"].startswith(first.strip())


def test_a_coding_of_the_input_is_the_same_on_every_link(source: Path) -> None:
    """At the divergence of the first link's best cut; its time falls as the link grows."""
    document = cli("plan", source / "recipe.toml", "--json", *AUTO, "--uplink", "0.05,1,20,1000").document
    rows = [
        {one["codec"]: one for one in plan["baselines"] if one["is_measured"] and one["payload_bytes"]}
        for plan in document["what_if"]
    ]
    assert len({tuple(one) for one in rows}) == 1
    for name in rows[0]:
        assert len({one[name]["payload_bytes"] for one in rows}) == 1
        times = [one[name]["total_ms"] for one in rows]
        assert times == sorted(times, reverse=True)


def test_a_limit_of_divergence_is_what_codings_have(source: Path) -> None:
    document = cli("plan", source / "recipe.toml", "--json", *AUTO, "--set", "gate.max_kl=0.02").document
    jpeg = document["baselines"][2]
    assert jpeg["divergence"] == pytest.approx(0.02) or is_at_an_end(jpeg["name"], ("100", "5"))
    assert "nats" in document["divergence_unit"]


def test_a_build_makes_the_best_cut_of_the_plan(source: Path) -> None:
    arguments = [source / "recipe.toml", "--json", *AUTO]
    planned = cli("plan", *arguments, "--bits", "4").document
    dry = cli("build", *arguments, "--dry-run", *setting("codec.bits=4")).document
    assert dry["best_cut"] == planned["best_cut"]


def test_several_links_in_one_document(source: Path) -> None:
    document = cli("plan", source / "recipe.toml", "--json", "--uplink", "0.1,10", "--rtt", "3", *AUTO).document
    assert [one["link"]["uplink_mbps"] for one in document["what_if"]] == [0.1, 10]
    assert document["link"]["rtt_ms"] == 3
    assert document["chosen"] == document["what_if"][0]["chosen"]


def test_a_table_for_people(source: Path) -> None:
    outcome = cli("plan", source / "recipe.toml", "--uplink", "1,10", *AUTO)
    assert outcome.code == 0, outcome.err
    assert "edge only" in outcome.out
    assert "chosen by latency" in outcome.out
    assert "Predicted for one sample alone" in outcome.err


def test_a_trace_says_when_to_switch(source: Path, tmp_path: Path) -> None:
    trace = tmp_path / "lte.csv"
    trace.write_text("seconds,uplink_mbps\n0,1000\n1,0.01\n2,1000\n")
    outcome = cli("plan", source / "recipe.toml", "--json", "--trace", trace, *AUTO)
    assert outcome.code == 0, outcome.err
    replay = outcome.document["replay"]
    assert replay["samples"] == 3
    assert replay["switches"][0]["at_s"] == 0
    assert replay["ranges"][-1]["to_mbps"] is None
    assert replay["outcomes"][0]["name"] == "switching"
    shown = cli("plan", source / "recipe.toml", "--trace", trace, *AUTO)
    assert "along the trace of 3 rows" in shown.out


def test_pictures_are_files(source: Path, tmp_path: Path) -> None:
    arguments = ["plan", source / "recipe.toml", *AUTO, "--pictures"]
    for folder in ("one", "two"):
        outcome = cli(*arguments, tmp_path / folder)
        assert outcome.code == 0, outcome.err
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == ["graph.svg", "latency.svg"]
    for name in ("graph.svg", "latency.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (tmp_path / "file").write_text("")
    assert cli(*arguments, tmp_path / "file" / "x").code == 2


def test_a_model_alone_is_planned_without_samples(source: Path) -> None:
    outcome = cli("plan", source / "tiny.onnx", "--json", "--edge", "jetson-orin-nano", "--cloud", "l4")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["edge"], document["cloud"]) == ("jetson-orin-nano", "l4")
    assert not any(point["is_measured"] for point in document["points"])
    assert "no samples: packets are estimates" in document["notes"][0]
    assert document["best_cut"]["energy_mj"] is None  # what its radio takes is not known
    assert "the link has no radio_w" in document["note"]
    assert document["baselines"][0]["energy_mj"] > 0


def test_a_measured_profile_prices_the_model(source: Path, tmp_path: Path) -> None:
    """The whole on the edge takes the profile's median, which no roofline gives."""
    feeds = [{"image": np.zeros((1, 3, 32, 32), np.float32)}]
    record = profile_onnxruntime(source / "tiny.onnx", feeds, Effort(warmup=1, samples=5))
    path = write_record(record.model_copy(update={"energy_mj": 2 * record.latency_ms.mean}), tmp_path / "edge.json")
    arguments = ["plan", source / "tiny.onnx", "--json", *setting(f"target.edge.profile={path}")]
    outcome = cli(*arguments)
    assert outcome.code == 0, outcome.err
    edge = outcome.document["baselines"][0]
    assert edge["edge_ms"] == pytest.approx(record.latency_ms.p50, rel=1e-6)  # sums of float64
    assert edge["energy_mj"] == pytest.approx(2 * edge["edge_ms"], rel=1e-6)  # two watts
    assert "measured times of this model's layers on the edge" in outcome.document["note"]
    heads = [point["edge_ms"] for point in outcome.document["points"]]
    assert heads == sorted(heads)


def test_an_edge_is_fitted_to_a_profile_and_kept(source: Path, tmp_path: Path) -> None:
    """Rates from one model price it; the device file that is written prices it the same."""
    feeds = [{"image": np.zeros((1, 3, 32, 32), np.float32)}]
    record = profile_onnxruntime(source / "tiny.onnx", feeds, Effort(warmup=1, samples=5))
    path, mine = write_record(record, tmp_path / "edge.json"), tmp_path / "mine.toml"
    model = source / "tiny.onnx"
    fitted = cli("plan", model, "--json", "--fit", f"{model}={path}", "--save-edge", mine)
    assert fitted.code == 0, fitted.err
    assert "rates fitted to measured layers on the edge" in fitted.document["note"]
    again = cli("plan", model, "--json", "--edge", mine)
    assert again.code == 0, again.err
    assert again.document["points"] == fitted.document["points"]
    assert load_device(str(mine)).sources["rates"].startswith("fitted to 1 profiles of ")
    for arguments in (["--save-edge", mine], ["--fit", "nothing"], ["--fit", f"{model}=none.json"]):
        assert cli("plan", model, *arguments).code == 2


def test_a_profile_of_another_model_is_refused(source: Path, tmp_path: Path) -> None:
    feeds = [{"image": np.zeros((1, 3, 32, 32), np.float32)}]
    record = profile_onnxruntime(source / "tiny.onnx", feeds, Effort(warmup=0, samples=1))
    path = write_record(record.model_copy(update={"model_sha256": "0" * 64}), tmp_path / "other.json")
    outcome = cli("plan", source / "tiny.onnx", *setting(f"target.edge.profile={path}"))
    assert outcome.code == 2
    assert "is the profile of another model" in outcome.err


def test_a_profile_of_another_device_is_refused_and_one_type_prices_no_other(source: Path, tmp_path: Path) -> None:
    feeds = [{"image": np.zeros((1, 3, 32, 32), np.float32)}]
    record = profile_onnxruntime(source / "tiny.onnx", feeds, Effort(warmup=0, samples=1))
    path = write_record(record.model_copy(update={"device": "l4"}), tmp_path / "other.json")
    outcome = cli("plan", source / "tiny.onnx", *setting(f"target.edge.profile={path}"))
    assert outcome.code == 2
    assert "was measured on 'l4', the recipe's device is 'cpu'" in outcome.err
    path = write_record(record.model_copy(update={"precision": "fp16"}), tmp_path / "half.json")
    outcome = cli("plan", source / "tiny.onnx", "--json", *setting(f"target.edge.profile={path}"))
    assert outcome.code == 0, outcome.err
    assert "measured times" not in outcome.document["note"]


def test_one_picture_is_enough_for_a_plan(source: Path) -> None:
    picture = next(one for one in sorted(source.rglob("*")) if one.suffix in {".png", ".jpg"})
    outcome = cli("plan", source / "tiny.onnx", "--json", "--data", picture, *setting("data.preprocess={crop=32}"))
    assert outcome.code == 0, outcome.err
    assert all(point["is_measured"] for point in outcome.document["points"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--uplink", "fast"], "--uplink: 'fast' is not a list of numbers", id="uplink"),
        pytest.param(["--uplink", "0"], "a link of 0 Mbit/s carries nothing", id="no-link"),
        pytest.param(["--bits", "99"], "bits", id="bits"),
        pytest.param(["--bits", "nan"], "--bits: nan is not a whole number", id="bits-nan"),
        pytest.param(["--bits", "4,1e400"], "--bits: inf is not a whole number", id="bits-infinite"),
        pytest.param(["--bits", "3.6"], "--bits: 3.6 is not a whole number", id="bits-fraction"),
        pytest.param(["--uplink", "1e-9"], "a link of 1e-09 Mbit/s carries nothing", id="hardly-a-link"),
        pytest.param(["--edge", "jetson-thor", "--precision", "int8"], "'jetson-thor' has no int8 peak", id="peak"),
        pytest.param(["--precision", "fp8"], "--precision: 'fp8' is not one of fp32, fp16, int8", id="precision"),
        pytest.param(["--codec", "nope"], "unknown codec profile 'nope'", id="codec"),
        pytest.param(["--edge", "jetson-orin-nan"], "Did you mean 'jetson-orin-nano'?", id="device"),
        pytest.param(["--trace", "none.csv"], "none.csv: cannot be read", id="trace"),
        pytest.param(["--objective", "speed"], "is not a choice", id="objective"),
        pytest.param(["--set", "gate.min_fidelity=0.9"], "gate.min_fidelity needs samples", id="fidelity"),
        pytest.param(["--set", "split.edge_memory=10"], "satisfies the pins, min_depth and memory", id="memory"),
    ],
)
def test_what_cannot_be_planned(source: Path, arguments: list[str], words: str) -> None:
    outcome = cli("plan", source / "tiny.onnx", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.out == ""


def test_a_named_cut_is_priced_alone(source: Path) -> None:
    document = cli("plan", source / "recipe.toml", "--json", "--bits", "4").document
    assert [point["cut"] for point in document["points"]] == [[CUT]]
    assert document["proven"]


def test_half_precision_is_a_choice(source: Path) -> None:
    document = cli(
        *("plan", source / "recipe.toml", "--json", "--bits", "4", "--precision", "fp32,fp16"),
        *("--edge", "jetson-orin-nano", "--cloud", "l4"),
    ).document
    times = {point["edge_precision"]: point["edge_ms"] for point in document["points"]}
    assert times["fp16"] < times["fp32"]
    assert [one["name"] for one in document["baselines"][:2]] == ["edge only", "edge only, fp16"]


def test_a_processor_plans_fp16_and_says_what_it_computes_it_in(source: Path) -> None:
    """No time is won where there is no float16 arithmetic; packets and answers are those of real float16."""
    document = cli("plan", source / "recipe.toml", "--json", "--bits", "4", "--precision", "fp32,fp16").document
    times = {point["edge_precision"]: point["edge_ms"] for point in document["points"]}
    assert times["fp16"] == times["fp32"]
    assert any("'cpu' computes fp16 in fp32" in note for note in document["notes"])
    alone = cli("plan", source / "tiny.onnx", "--json", "--precision", "fp16")
    assert alone.code == 0, alone.err


def test_infinities_of_float16_are_refused_by_name(tmp_path: Path) -> None:
    """A float16 network that overflows on the samples: planning does not take NaN for an answer."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float16[1, 8] x) => (float16[1, 8] y) '
        "{ [grow] a = Mul(x, x) [keep] b = Relu(a) [root] y = Sqrt(b) }"
    )
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    for index in range(8):
        np.save(tmp_path / f"{index}.npy", np.full((1, 8), 290 + index, np.float16))
    outcome = cli("plan", tmp_path / "m.onnx", "--data", tmp_path / "*.npy", "--set", "data.task=features")
    assert outcome.code == 1
    assert "cut ['b'], head: node 'grow' gives NaN or infinities in float16" in outcome.err


@needs_data
def test_the_cut_moves_as_the_link_grows() -> None:
    """MobileNetV2 between Orin Nano and L4, real packets: towards the input, and nothing beats what is chosen."""
    pictures = DATA / "images" / "imagenet_sample"
    recipe = driver.recipe_of_model(
        str(MOBILENET),
        [
            "target.edge.device=jetson-orin-nano",
            "target.cloud.device=l4",
            f"data.calibration={pictures}/*.jpg",
            f"data.labels={pictures / 'labels.csv'}",
            "data.preprocess={crop=224,mean=[0.485,0.456,0.406],std=[0.229,0.224,0.225]}",
        ],
    )
    answer = driver.make_plan(recipe, driver.Question(uplinks_mbps=LINKS_MBPS, bits=[4]))
    depth = [one.best_cut.load.head_flops for one in answer.plans]
    assert all(before >= after for before, after in pairwise(depth))
    assert depth[-1] < depth[0]
    for one in answer.plans:
        assert one.chosen.latency.total_ms == min(way.latency.total_ms for way in [*one.points, *one.baselines])
        assert all(point.is_measured for point in one.points)
        assert any("JPEG" in way.name for way in one.baselines)


def clip_setting(folder: Path) -> Path:
    """A network on clips of 8 frames, and clips in which a disc moves; a recipe that says how pixels became numbers."""
    net = Net(7)
    weight = net.weight("w", 8, 3, 3, 3, 3)
    x = net.op("Conv", ["clip", weight], "conv", kernel_shape=[3, 3, 3], pads=[1] * 6, strides=[1, 2, 2])
    x = net.op("GlobalAveragePool", [net.op("Relu", [x], "act")], "pool")
    x = net.op("Flatten", [x], "flat", axis=1)
    net.op("Gemm", [x, net.weight("v", 8, 5)], "scores")
    folder.mkdir()
    onnx.save(net.model([("clip", ["N", 3, 8, 32, 32])], [("scores", ["N", 5])]), folder / "clip.onnx")
    (folder / "clips").mkdir()
    place = np.mgrid[0:32, 0:32]
    for one in range(12):
        clip = np.full((1, 3, 8, 32, 32), 51, np.float32)
        for frame in range(8):
            inside = np.hypot(place[0] - 16, place[1] - 6 - 2 * frame) < 3 + one / 2
            clip[0, :, frame, inside] = (230, 100, 25)
        np.save(folder / "clips" / f"{one:02}.npy", clip / np.float32(255))
    (folder / "recipe.toml").write_text(
        'name = "clip"\n[model]\nsource = "clip.onnx"\n[data]\ncalibration = "clips/*.npy"\n'
        "[split]\ncandidates = 2\n[data.preprocess]\nscale = 0.00392156862745098\n"
    )
    return folder


@pytest.mark.skipif(find_spec("av") is None, reason="needs PyAV (extra video)")
def test_clips_are_compared_with_h264(tmp_path: Path) -> None:
    """Smaller than the pixels themselves; without data.preprocess nobody knows what the numbers mean."""
    folder = clip_setting(tmp_path / "clip")
    document = cli("plan", folder / "recipe.toml", "--json", "--bits", "4").document
    raw, h264, h265 = document["baselines"][1:]
    assert raw["payload_bytes"] == 3 * 8 * 32 * 32
    assert h264["name"].startswith("cloud only, H.264 at CRF ")
    assert 0 < h264["payload_bytes"] < raw["payload_bytes"] / 4
    assert h265["name"].startswith("cloud only, H.265 at CRF ")
    for one in (h264, h265):
        is_equal = one["divergence"] == pytest.approx(document["best_cut"]["divergence"])
        assert is_equal or is_at_an_end(one["name"], ("12", "45"))
    text = (folder / "recipe.toml").read_text()
    (folder / "bare.toml").write_text(text[: text.index("[data.preprocess]")])
    bare = cli("plan", folder / "bare.toml", "--json", "--bits", "4").document
    assert len(bare["baselines"]) == 2
    assert "data.preprocess would say how pixels become numbers" in bare["notes"][0]


@pytest.mark.skipif(find_spec("av") is None, reason="needs PyAV (extra video)")
@pytest.mark.parametrize("size", [(32, 32), (33, 31)], ids=str)
def test_h264_gives_back_what_it_was_given_nearly(size: tuple[int, int]) -> None:
    from splitc.codec import code_video

    frames = np.full((5, *size, 3), 90, np.uint8)
    frames[:, 8:16, 8:16] = (200, 40, 120)
    few, coarse = code_video(frames, 45)
    many, fine = code_video(frames, 10)
    assert few < many
    assert coarse.shape == fine.shape == frames.shape
    away = [float(np.mean(np.abs(one.astype(int) - frames))) for one in (coarse, fine)]
    assert away[1] < away[0]
    assert away[1] < 4  # 4:2:0 blurs the colours of the square's border


def dynamic_net(folder: Path) -> Path:
    """Pictures of any size."""
    net = Net(2)
    net.op("Relu", [net.conv("image", "a", (3, 8))], CUT)
    net.op("GlobalAveragePool", [net.conv(CUT, "b", (8, 10), stride=3)], "logits")
    path = folder / "any.onnx"
    onnx.save(net.model([("image", ["N", 3, "H", "W"])], [("logits", ["N", 10, 1, 1])], opset=17), path)
    return path


def test_sizes_that_nothing_tells_are_asked_for(tmp_path: Path) -> None:
    path = dynamic_net(tmp_path)
    outcome = cli("plan", path)
    assert outcome.code == 2
    assert "input 'image' ['N', 3, 'H', 'W'] leaves 'H', 'W' open" in outcome.err
    assert "model.dims = { 'H' = 640 }" in outcome.err


@pytest.mark.parametrize("told", ["dims", "shapes", "samples"])
def test_dynamic_pictures_cost_what_their_size_does(told: str, tmp_path: Path) -> None:
    path, fixed = dynamic_net(tmp_path), tmp_path / "fixed"
    fixed.mkdir()
    np.save(tmp_path / "x.npy", np.zeros((4, 3, 48, 64), np.float32))
    ways = {
        "dims": ["--set", "model.dims={H=48,W=64}"],
        "shapes": ["--set", "model.shapes.image=Nx3x48x64"],
        "samples": ["--data", tmp_path / "x.npy", "--set", "data.task=features"],
    }
    found = cli("plan", path, *ways[told], "--json")
    assert found.code == 0, found.err
    sized = cli("plan", path, "--set", "model.shapes.image=Nx3x48x64", "--json").document
    for mine, other in zip(found.document["baselines"], sized["baselines"], strict=False):
        assert mine["edge_ms"] == pytest.approx(other["edge_ms"])
        assert mine["cloud_ms"] == pytest.approx(other["cloud_ms"])


def test_inspect_says_what_it_counts_as_one(tmp_path: Path) -> None:
    path = dynamic_net(tmp_path)
    open_sizes, given = cli("inspect", path), cli("inspect", path, "--shape", "image:Nx3x48x64")
    assert "note: H, W count as 1 in every number here; give sizes, --shape image:Nx3x640x640." in open_sizes.err
    assert "count as 1" not in given.err
    assert cli("inspect", path, "--json").document["open_sizes"] == ["H", "W"]
    sized = cli("inspect", path, "--shape", "image:Nx3x48x64", "--json").document
    assert sized["open_sizes"] == []
    assert sized["cuts"][0]["wire_bytes"] == 4 * 8 * 48 * 64
