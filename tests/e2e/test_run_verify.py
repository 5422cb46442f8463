"""What a finished bundle answers: run, verify, report, inspect, doctor; against a reference computed here."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.utils
import onnxruntime as ort
import pytest
from e2e_setting import CUT, SIDE, Outcome, build, cli, file_bytes, listing, setting, tiny_net
from PIL import Image

from splitc import __version__
from splitc.bundle import open_bundle, write_manifest
from splitc.cli.doctor import extras
from splitc.codec import FittedTensor
from splitc.runtime import CloudHalf, EdgeHalf, Reader, find_files, read_contract, run_pair

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
STAGES = ["full", "split", "quantized", "coded", "engine"]


def feed_of(picture: Path) -> np.ndarray:
    """The network's input as the recipe asks for it, written out by hand: 40 x 36 -> 36 x 32 -> 32 x 32."""
    small = Image.open(picture).convert("RGB").resize((36, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(small.crop((2, 0, 34, SIDE)), np.float32)
    normal = (pixels * np.float32(1 / 255) - np.float32(0.5)) / np.float32(0.25)
    return normal.transpose(2, 0, 1)[None].copy()


def session(model: Path, optimize: bool = False) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def host_bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12-bit symbols, which only the host can carry: the graphs exchange float32."""
    out = tmp_path_factory.mktemp("host") / "host"
    outcome = build(source, out, *setting("codec.bits=12", "codec.entropy=range"))
    assert outcome.code == 0, outcome.err
    return out


def test_run_json(source: Path, bundle: Path) -> None:
    outcome = cli("run", bundle, source / "pictures", "--json")
    assert outcome.code == 0, outcome.err
    results = outcome.document["results"]
    assert [one["input"] for one in results] == [f"picture{index:02}.png" for index in range(12)]
    for one in results:
        assert one.keys() >= {"input", "answer", "payload_bytes", "ms"}
        assert one["ms"].keys() == {"edge", "encode", "wire", "decode", "cloud", "total"}
        parts = sum(value for stage, value in one["ms"].items() if stage != "total")
        assert one["ms"]["total"] == pytest.approx(parts, abs=0.004)  # five numbers rounded to 0.001
        assert 0 < one["answer"]["share"] <= 1
        assert one["answer"]["name"] == f"class {one['answer']['index']}"
        assert 40 < one["payload_bytes"] < 8 * 16 * 16 // 2  # more than a header, less than 4 bits an element


def test_run_prints_one_line_an_input(source: Path, bundle: Path) -> None:
    outcome = cli("run", bundle, source / "pictures/picture0[0-4].png")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert len(lines) == 5
    for index, line in enumerate(lines):
        assert re.match(rf"picture{index:02}\.png +class \d \(\d+%\) +\d+ bytes  [\d.]+ ms = edge ", line), line


def numbers_of(tensor: FittedTensor) -> list[np.ndarray]:
    """lo, scale, gain and bias of every channel, against the axes of a feature."""
    params = tensor.params
    return [values.reshape(1, -1, 1, 1) for values in (params.lo, params.scale, params.gain, params.bias)]


def test_symbols_in_the_graph_equal_numpy(source: Path, bundle: Path, tmp_path: Path) -> None:
    """The reference cuts the model with onnx's own extractor, and quantizes and dequantizes with NumPy."""
    opened = open_bundle(bundle)
    (tensor,) = read_contract(opened).fitted_codec(opened.pair_id).tensors
    lo, scale, gain, bias = numbers_of(tensor)
    onnx.utils.extract_model(source / "tiny.onnx", tmp_path / "head.onnx", ["image"], [CUT])
    onnx.utils.extract_model(source / "tiny.onnx", tmp_path / "tail.onnx", [CUT], ["logits"])
    head, tail = session(tmp_path / "head.onnx"), session(tmp_path / "tail.onnx")
    edge, cloud = EdgeHalf(opened, optimize=False), CloudHalf(opened, optimize=False)
    for picture in sorted((source / "pictures").iterdir()):
        image = feed_of(picture)
        (feature,) = head.run(None, {"image": image})
        expected = np.clip(np.rint((feature - lo) * scale), 0, tensor.count - 1).astype(np.uint8)
        quantized = edge.symbols({"image": image})
        np.testing.assert_array_equal(quantized.symbols[0], expected)
        restored = expected.astype(np.float32) * gain + bias
        (logits,) = tail.run(None, {CUT: restored})
        np.testing.assert_array_equal(cloud.answer(quantized)["logits"], logits)
        np.testing.assert_array_equal(cloud.decode(edge.encode(quantized)).symbols[0], expected)


def test_run_answers_what_the_two_files_answer(source: Path, bundle: Path) -> None:
    edge, cloud = (session(bundle / side / "model.onnx", optimize=True) for side in ("edge", "cloud"))
    for answer, picture in zip(run_files(source, bundle), sorted((source / "pictures").iterdir()), strict=True):
        (symbols,) = edge.run(None, {"image": feed_of(picture)})
        (logits,) = cloud.run(None, {f"{CUT}.symbols": symbols})
        np.testing.assert_array_equal(answer.outputs["logits"], logits)


def test_symbols_on_the_host_equal_numpy(source: Path, host_bundle: Path) -> None:
    """Quantized and dequantized by the formulas of the contract: q = rint((x - lo) * scale), x = q * gain + bias."""
    contract = read_contract(open_bundle(host_bundle))
    (tensor,) = contract.fitted_codec(open_bundle(host_bundle).pair_id).tensors
    lo, scale, gain, bias = numbers_of(tensor)
    edge, cloud = (session(host_bundle / side / "model.onnx", optimize=True) for side in ("edge", "cloud"))
    for answer, picture in zip(run_files(source, host_bundle), sorted((source / "pictures").iterdir()), strict=True):
        (feature,) = edge.run(None, {"image": feed_of(picture)})
        symbols = np.clip(np.rint((feature - lo) * scale), 0, 4095)
        restored = symbols.astype(np.float32) * gain + bias
        (logits,) = cloud.run(None, {CUT: restored})
        np.testing.assert_array_equal(answer.outputs["logits"], logits)


def run_files(source: Path, bundle: Path) -> list:
    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened), CloudHalf(opened)
    reader = Reader(edge.contract.inputs, edge.contract.preprocess)
    return list(run_pair(edge, cloud, reader.samples(find_files(["pictures"], source))))


def test_threads_and_optimization_change_no_symbol(source: Path, bundle: Path) -> None:
    opened = open_bundle(bundle)
    halves = [EdgeHalf(opened), EdgeHalf(opened, threads=2), EdgeHalf(opened, optimize=False)]
    feeds = {"image": feed_of(source / "pictures/picture03.png")}
    first, *others = [half.symbols(feeds).symbols[0] for half in halves]
    for other in others:
        # fused kernels may round the last bit of a feature differently, which moves a value over a threshold at most
        assert np.abs(first.astype(int) - other.astype(int)).max() <= 1
        assert np.mean(first != other) < 0.001


def test_packets_carry_their_sequence_number(source: Path, bundle: Path) -> None:
    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened), CloudHalf(opened)
    symbols = edge.symbols({"image": feed_of(source / "pictures/picture03.png")})
    packets = [edge.encode(symbols) for _ in range(3)]
    assert len(set(packets)) == 3
    for packet in packets:
        np.testing.assert_array_equal(cloud.decode(packet)[0], symbols[0])


def verify(bundle: Path, source: Path, *arguments: object) -> Outcome:
    return cli("verify", bundle, "--base", source, "--json", *arguments)


def test_verify_repeats_the_numbers_of_the_build(source: Path, built: tuple[Path, Outcome]) -> None:
    out, outcome = built
    again = verify(out, source).document
    first = open_bundle(out).read_json("verify.json")
    assert again.keys() >= {"ok", "samples", "stages", "rate_bpe", "payload_bytes_mean"}
    assert again["ok"] is True
    assert [stage["name"] for stage in again["stages"]] == STAGES
    assert all(stage.keys() >= {"name", "fidelity", "kl", "cosine", "top1"} for stage in again["stages"])
    assert again == first | {"gates": [], "notes": []}
    assert again["reference"] == "the unsplit model"
    assert again["rate_bpe"] == outcome.document["rate_bpe"]
    assert again["stages"][3]["fidelity"] == outcome.document["fidelity"]


def test_verify_a_host_bundle(source: Path, host_bundle: Path) -> None:
    again, first = verify(host_bundle, source).document, open_bundle(host_bundle).read_json("verify.json")
    assert again == first | {"gates": [], "notes": []}


def test_verify_with_the_right_model(source: Path, bundle: Path) -> None:
    outcome = verify(bundle, source, "--model", source / "tiny.onnx")
    assert outcome.code == 0, outcome.err
    assert outcome.document == open_bundle(bundle).read_json("verify.json") | {"gates": [], "notes": []}


@pytest.mark.parametrize("name", ["away", "changed"])
def test_verify_without_the_model_says_what_it_cannot_see(
    name: str, source: Path, bundle: Path, tmp_path: Path
) -> None:
    base = shutil.copytree(source, tmp_path / "base")
    (base / "tiny.onnx").unlink()
    if name == "changed":
        (base / "tiny.onnx").write_bytes(tiny_net(seed=6).SerializeToString())
    outcome = verify(bundle, base)
    assert outcome.code == 0, outcome.err
    assert outcome.document["reference"] == "the halves joined without codec"
    assert [stage["name"] for stage in outcome.document["stages"]] == STAGES[2:]
    assert [one["stage"] for one in outcome.document["skipped"]] == STAGES[:2]
    reason = outcome.document["skipped"][0]["reason"]
    assert ("tiny.onnx is not in the folder of --base" if name == "away" else "tiny.onnx has changed since") in reason
    (note,) = outcome.document["notes"]
    assert "cannot notice a changed half" in note
    assert f"note: {note}" in outcome.err
    lines = cli("verify", bundle, "--base", base).out.splitlines()
    assert [line.split()[:2] for line in lines[4:6]] == [["full", "skipped:"], ["split", "skipped:"]]


def reseal(bundle: Path) -> None:
    """Hash everything again, as somebody would who changes a bundle and means to."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").unlink()
    same = {key: manifest[key] for key in ("name", "splitc", "tools", "inputs")}
    write_manifest(bundle, **same)


def change_half(bundle: Path, side: str) -> None:
    """Add 0.01 to one weight of a half, below what the tolerance of the whole model lets through."""
    model = onnx.load(bundle / side / "model.onnx")
    weight = next(one for one in model.graph.initializer if one.name in ("stem/conv.w", "head.w"))
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] += np.float32(1e-4)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, bundle / side / "model.onnx")
    reseal(bundle)


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_verify_notices_a_changed_half(side: str, source: Path, bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    change_half(copy, side)
    outcome = verify(copy, source)
    assert outcome.code == 1
    assert outcome.document["ok"] is False
    assert outcome.err.splitlines()[-1] == (
        "splitc: the split model's answers are not the full model's; rebuild the bundle."
    )


def test_verify_of_a_build_by_other_versions_allows_rounding(source: Path, bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"splitc": "0.0.1"}))
    change_half(copy, "edge")
    outcome = verify(copy, source)
    assert (outcome.code, outcome.document["ok"]) == (0, True)
    assert "other versions of splitc or its tools" in outcome.document["notes"][0]


def test_verify_checks_the_limits_of_the_recipe(source: Path, bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    with (copy / "recipe.lock.toml").open("a") as lock:
        lock.write("\n[gate]\nmin_fidelity = 0.1\nmax_rate_bpe = 0.01\n")
    reseal(copy)
    outcome = verify(copy, source)
    assert outcome.code == 1
    assert [(gate["name"], gate["ok"]) for gate in outcome.document["gates"]] == [
        ("min_fidelity", True),
        ("max_rate_bpe", False),
    ]
    rate = outcome.document["rate_bpe"]
    assert f"splitc: max_rate_bpe is {rate:.4g}, the limit is 0.01." in outcome.err
    assert "gate max_rate_bpe" in cli("verify", copy, "--base", source).out


def test_verify_says_when_the_recipe_s_files_have_changed(source: Path, bundle: Path, tmp_path: Path) -> None:
    base = shutil.copytree(source, tmp_path / "base")
    shutil.copy(base / "pictures/picture00.png", base / "pictures/picture03.png")
    outcome = verify(bundle, base)
    assert outcome.code == 0, outcome.err
    (note,) = outcome.document["notes"]
    assert note.startswith("the recipe's files are not those of the build (sha256 ")
    assert f"note: {note}" in outcome.err


def test_verify_takes_as_many_regions_as_the_recipe(source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "x", *setting("data.crops=3")).code == 0
    picture = ["--data", source / "pictures/picture00.png"]
    assert verify(tmp_path / "x", source, *picture).document["samples"] == 3
    assert verify(tmp_path / "x", source, *picture, "--crops", "2").document["samples"] == 2


def test_verify_with_another_model(source: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(tiny_net(seed=6).SerializeToString())
    outcome = verify(bundle, source, "--model", tmp_path / "other.onnx")
    assert (outcome.code, outcome.out) == (2, "")
    assert "other.onnx: is not the model that this bundle was built from (sha256 " in outcome.err


def test_verify_other_data_and_labels(source: Path, bundle: Path, tmp_path: Path) -> None:
    answers = {one["input"]: one["answer"]["index"] for one in run_json(bundle, source / "pictures")}
    names = ["picture00.png", "picture01.png"]
    (tmp_path / "labels.csv").write_text("".join(f"{name},{answers[name]}\n" for name in names))
    data = [source / "pictures" / name for name in names]
    arguments = [word for file in data for word in ("--data", file)]
    document = verify(bundle, source, *arguments, "--labels", tmp_path / "labels.csv").document
    assert document["samples"] == 2
    assert document["stages"][4]["top1"] == 1.0  # the labels are the engines' own answers
    shown = cli("verify", bundle, "--base", source, *arguments, "--labels", tmp_path / "labels.csv").out.splitlines()
    assert f"labels of {len(names)} of {len(names)} samples" in shown
    assert shown[0].split()[-1] == "top-1"
    assert shown[5].split()[-1] == "1.0000"


def run_json(bundle: Path, *inputs: Path) -> list:
    return cli("run", bundle, *inputs, "--json").document["results"]


def test_verify_for_people(source: Path, bundle: Path) -> None:
    outcome = cli("verify", bundle, "--base", source)
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()[:6]] == ["stage", *STAGES]
    assert "against the unsplit model, on 3 samples" in outcome.err
    assert "top-1" not in outcome.out


def test_commands_that_read_leave_the_bundle_alone(source: Path, bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    assert verify(copy, source).code == 0
    assert cli("run", copy, source / "pictures").code == 0
    assert cli("report", copy).code == 0
    assert file_bytes(copy) == file_bytes(bundle)


def test_inspect_json(source: Path) -> None:
    document = cli("inspect", source / "tiny.onnx", "--json").document
    assert document.keys() >= {"inputs", "outputs", "nodes", "parameters", "flops", "cuts", "rejected"}
    cut = next(one for one in document["cuts"] if one["names"] == [CUT])
    head = 2 * (256 * 8 * 27 + 2 * 256 * 8 * 72)
    tail = 2 * (64 * 16 * 72 + 64 * 10)
    assert cut["shapes"] == [["N", 8, 16, 16]]
    assert (cut["dtypes"], cut["wire_bytes"]) == (["float32"], 8192)
    assert (cut["head_parameters"], cut["tail_parameters"]) == (1368, 1802)
    # element-wise operators count too, at one or a few operations an element: below 5 % here
    assert cut["head_flops"] == pytest.approx(head, rel=0.05)
    assert cut["tail_flops"] == pytest.approx(tail, rel=0.05)
    assert cut["head_flops"] + cut["tail_flops"] == document["flops"]
    leaking = next(one for one in document["rejected"] if one["names"] == ["block/1/out"])
    assert "stem/out" in leaking["reason"]


def test_inspect_for_people(source: Path) -> None:
    outcome = cli("inspect", source / "tiny.onnx", "--cuts", "--shape", "image:1x3x32x32")
    assert outcome.code == 0, outcome.err
    assert "input   image  float32 [1, 3, 32, 32]" in outcome.out
    assert "not cuts:" in outcome.out


def test_report_writes_the_page_again(bundle: Path, tmp_path: Path) -> None:
    outcome = cli("report", bundle, "--out", tmp_path / "page.html", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.document["report"] == str(tmp_path / "page.html")
    assert outcome.document["numbers"]["cut"] == [CUT]
    assert (tmp_path / "page.html").read_bytes() == (bundle / "report.html").read_bytes()
    assert listing(tmp_path) == {"page.html"}


def test_report_names_the_bundle_s_own_page(bundle: Path) -> None:
    assert cli("report", bundle).out == f"{bundle / 'report.html'}\n"


@pytest.mark.parametrize(
    "option",
    [
        *(["--token-file", "x"], ["--tls-ca", "x"], ["--tls-cert", "x"], ["--tls-key", "x"], ["--insecure"]),
        *(["--also", "x"], ["--fall-back"], ["--window", "2"], ["--patience-s", "1"]),
    ],
    ids=lambda option: option[0],
)
def test_options_of_a_network_need_a_server(option: list[str], bundle: Path) -> None:
    outcome = cli("run", bundle, "x.png", *option)
    assert outcome.code == 2
    assert f"{option[0]} needs --server: it is for a pair over a network" in outcome.err


def test_doctor_json() -> None:
    outcome = cli("doctor", "--json")
    assert outcome.code == 0
    checks = {one["name"]: one for one in outcome.document["checks"]}
    assert checks["native coders"]["ok"] is True
    assert checks["backend onnxruntime"]["ok"] is True
    formats = {"encoder hevc": "gray, gray10le, gray12le", "encoder h264": "gray, gray10le"}
    assert all(not checks[name]["ok"] or checks[name]["detail"] == text for name, text in formats.items())
    assert {
        "splitc",
        "cores",
        "encoder av1",
        "backend tensorrt",
        "backend tensorrt_rtx",
        "extra zoo",
        "cache",
    } <= checks.keys()
    missing = [one for one in checks.values() if not one["ok"]]
    assert all(one["how_to_get"] for one in missing), missing


def test_doctor_knows_every_extra() -> None:
    """What pyproject.toml offers, none forgotten; an extra that includes another lists its packages too."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    offered = tomllib.loads(project.read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras()) == set(offered)
    assert set(extras()["zoo"]) > set(extras()["build"]) == {"onnx-ir", "onnx", "tomli-w"}
    assert extras()["serve"] == ("grpcio", "tritonclient", "prometheus-client")
    checks = {one["name"]: one for one in cli("doctor", "--json").document["checks"]}
    assert {f"extra {name}" for name in offered} <= checks.keys()
    assert checks["extra edge"]["detail"] == "nothing more"


def test_doctor_for_people() -> None:
    lines = cli("doctor").out.splitlines()
    assert any(re.match(r"  ok  native coders +checksum matches", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--version"], f"splitc {__version__}", id="version"),
        pytest.param(["--help"], "Cut one neural network in two", id="help"),
        pytest.param(["build", "-h"], "a recipe becomes a bundle", id="build-help"),
    ],
)
def test_help_exits_0(arguments: list[str], words: str) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert words in outcome.out
