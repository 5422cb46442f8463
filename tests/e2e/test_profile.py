"""``splitc profile``: a half, a model, a record replayed, what trtexec and tegrastats wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e_setting import build, cli, write_setting


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_setting(tmp_path_factory.mktemp("profile"))
    assert build(folder, folder / "out").code == 0
    return folder


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_a_half(side: str, source: Path, tmp_path: Path) -> None:
    pictures = ["--data", source / "pictures/*.png"]
    arguments = ["--side", side, "--samples", 5, "--warmup", 1, "--json", "--out", tmp_path / "r.json", *pictures]
    outcome = cli("profile", source / "out", *arguments)
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["side"], document["device"], document["backend"], document["samples"]) == (
        side,
        "cpu",
        "onnxruntime",
        5,
    )
    assert {"mean", "p50", "p90", "p95", "p99"} <= document["latency_ms"].keys()
    assert document["layers"]
    assert document["environment"]["inputs"] == "files"
    replayed = cli("profile", source / "out", "--side", side, "--replay", tmp_path / "r.json", "--json")
    assert replayed.document == document
    other = cli(
        "profile", source / "out", "--side", "edge" if side == "cloud" else "cloud", "--replay", tmp_path / "r.json"
    )
    assert other.code == 2
    assert "belongs to another model" in other.err


def test_a_model_s_record_is_what_a_plan_counts_with(source: Path, tmp_path: Path) -> None:
    profile = tmp_path / "cpu.json"
    outcome = cli("profile", source / "tiny.onnx", "--samples", 5, "--out", profile, "--export", tmp_path / "trt")
    assert outcome.code == 0, outcome.err
    assert "p99" in outcome.out
    assert "Conv" in outcome.out
    assert len(json.loads((tmp_path / "trt/times.json").read_text())) == 5
    built = build(source, tmp_path / "out", "--set", f"target.edge.profile={profile}")
    assert built.code == 0, built.err


def test_a_record_that_cannot_be_written_is_refused_before_it_is_measured(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitc.cli.profile._local_run", lambda *_: pytest.fail("measured first"))
    outcome = cli("profile", source / "tiny.onnx", "--out", tmp_path)
    assert (outcome.code, outcome.err) == (2, f"splitc: {tmp_path}: is a folder; name a file in it.\n")


def test_what_trtexec_measured(source: Path, tmp_path: Path) -> None:
    times = tmp_path / "times.json"
    times.write_text(json.dumps([{"latencyMs": 2.0, "computeMs": 1.5}] * 10))
    log = tmp_path / "tegrastats.log"
    log.write_text("RAM 3012/15656MB CPU [5%@1984] GR3D_FREQ 99%@1173 gpu@49C VDD_IN 8000mW/8000mW\n" * 3)
    arguments = ["--import", times, "--tensorrt", "10.3.0", "--name", "jetson-orin-nx", "--tegrastats", log]
    outcome = cli("profile", source / "out", "--side", "edge", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.document
    assert (document["backend"], document["latency_ms"]["p50"], document["device_ms"]["p50"]) == ("tensorrt", 2.0, 1.5)
    assert (document["power_w"], document["energy_mj"]) == (8.0, 16.0)
    assert document["environment"]["gpu_mhz"] == "1173"


def untraced(name: str, ms: float) -> list[dict[str, object]]:
    """trtexec's --exportProfile of one layer."""
    return [{"count": 10}, {"name": name, "timeMs": ms * 10, "averageMs": ms, "medianMs": ms, "percentage": 100}]


@pytest.mark.parametrize(
    ("layer", "ms", "note"),
    [
        ("{ForeignNode[first.../last]}", 1.5, "note: 0% of the layers' time traces to nodes of this model"),
        ("first", 0.0, "note: every layer took 0 ms"),
    ],
    ids=["foreign", "zero"],
)
def test_a_profile_without_the_model_s_layers_prices_nothing_at_zero(
    layer: str, ms: float, note: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "times.json").write_text(json.dumps([{"latencyMs": 8.0, "computeMs": 7.5}] * 10))
    (tmp_path / "layers.json").write_text(json.dumps(untraced(layer, ms)))
    record = tmp_path / "record.json"
    exported = ["--import", tmp_path / "times.json", "--import-profile", tmp_path / "layers.json", "--tensorrt", "10.3"]
    outcome = cli("profile", source / "tiny.onnx", *exported, "--name", "jetson-orin-nx", "--out", record)
    assert outcome.code == 0, outcome.err
    assert note in outcome.err
    places = ["--edge", "jetson-orin-nx", "--set", f"target.edge.profile={record}"]
    found = cli("plan", source / "tiny.onnx", *places, "--json")
    assert found.code == 0, found.err
    whole = next(one for one in found.document["baselines"] if one["name"] == "edge only")
    assert whole["edge_ms"] == pytest.approx(8.0)
    assert "this model's measured time, spread over its layers as predicted" in found.document["note"]


@pytest.mark.parametrize(
    ("names", "layers", "words"),
    [
        (
            ["conv_of_another_model"],
            None,
            "layers.json: belongs to another model: none of its 1 layers, such as 'conv_",
        ),
        (["a/Conv + a/Relu", "PWN(b, c)"], None, "none of its 2 layers, such as 'a/Conv + a/Relu', is a node of"),
        (["a", "(Unnamed Layer* 3) [Shuffle]"], None, ""),
        (
            ["Reformatting CopyNode for Input Tensor 0 to a", "a"],
            None,
            "none of its 1 layers, such as 'a', is a node of",
        ),
        (["Reformatting CopyNode for Input Tensor 0 to a"], None, ""),
        (["a"], [{"Name": "a", "LayerType": "conv"}], "layers.json: belongs to another model"),
        (
            ["a"],
            [{"Name": "a", "Metadata": "[ONNX Layer: b]"}],
            "infos.json: belongs to another model: its layers compute",
        ),
    ],
    ids=["one", "fused", "made-up", "beside-a-copy", "a-copy", "with-kinds", "metadata"],
)
def test_a_profile_of_another_model_is_refused_by_name(
    names: list[str], layers: list[object] | None, words: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "times.json").write_text(json.dumps([{"latencyMs": 8.0, "computeMs": 7.5}] * 10))
    rows = [{"count": 10}, *(row for name in names for row in untraced(name, 1.0)[1:])]
    (tmp_path / "layers.json").write_text(json.dumps(rows))
    exported = ["--import", tmp_path / "times.json", "--import-profile", tmp_path / "layers.json", "--tensorrt", "10.3"]
    if layers is not None:
        (tmp_path / "infos.json").write_text(json.dumps({"Layers": layers}))
        exported += ["--import-layers", tmp_path / "infos.json"]
    outcome = cli("profile", source / "tiny.onnx", *exported)
    assert (outcome.code, words in outcome.err) == (2 if words else 0, True), outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--side", "egde"], 2, "--side: must be edge or cloud"),
        (["--import", "none.json"], 2, "--import needs --tensorrt"),
        (["--import", "none.json", "--tensorrt", "10.3"], 2, "none.json: cannot be read"),
        (["--replay", "none.json"], 2, "none.json: cannot be read"),
        (["--device", "http://x"], 2, "is not ssh://user@host"),
        (["--data", "none/*.png"], 2, "none/*.png"),
        (["--threads", "2", "--engine"], 2, "--threads does not go with --engine: the GPU computes; leave one"),
        (["--ssh-config", "x"], 2, "--ssh-config needs --device; add --device, or leave --ssh-config out"),
        (["--remote-python", "x"], 2, "--remote-python needs --device"),
        (["--import-profile", "x"], 2, "--import-profile needs --import"),
        (["--import", "t", "--tensorrt", "10.3", "--import-layers", "x"], 2, "--import-layers needs --import-profile"),
        (["--tensorrt", "10.3"], 2, "--tensorrt needs --import"),
        (["--trtexec-flags", "x"], 2, "--trtexec-flags needs --import"),
        (["--chip", "tegra234"], 2, "--chip needs --tegrastats"),
        (["--set", "workspace_mb=1"], 2, "--set needs --engine"),
        (["--target", "x"], 2, "--target needs --engine"),
        (["--engine-folder", "x"], 2, "--engine-folder needs --engine"),
        (["--replay", "r", "--samples", "5", "--data", "x"], 2, "--samples and --data do not go with --replay"),
        (["--replay", "r", "--name", "x"], 2, "--name does not go with --replay"),
        (
            ["--replay", "r", "--import", "x", "--tensorrt", "10.3"],
            2,
            "--import and --tensorrt do not go with",
        ),
        (["--import", "t", "--tensorrt", "10.3", "--device", "ssh://x"], 2, "--device does not go with --import"),
        (["--import", "t", "--tensorrt", "10.3", "--warmup", "1"], 2, "trtexec has measured already"),
        (["--import", "t", "--tensorrt", "10.3", "--export", "x"], 2, "--export does not go with --import"),
    ],
)
def test_refusals(arguments: list[str], code: int, message: str, source: Path) -> None:
    outcome = cli("profile", source / "out", *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_an_engine_that_is_not_there(source: Path, tmp_path: Path) -> None:
    assert "an ONNX model has no engine" in cli("profile", source / "tiny.onnx", "--engine").err
    assert "no edge engine is left to be built" in cli("profile", source / "out", "--engine").err
    assert "on the device itself" in cli("profile", source / "out", "--engine", "--device", "ssh://x").err


def test_export_needs_a_measurement(source: Path, tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    assert cli("profile", source / "tiny.onnx", "--samples", 1, "--out", record).code == 0
    outcome = cli("profile", source / "tiny.onnx", "--replay", record, "--export", tmp_path / "x")
    assert outcome.code == 2
    assert "--export does not go with --replay: it runs nothing" in outcome.err


def test_a_model_has_no_sides(source: Path) -> None:
    outcome = cli("profile", source / "tiny.onnx", "--side", "edge")
    assert outcome.code == 2
    assert "is a model, which has no sides" in outcome.err
