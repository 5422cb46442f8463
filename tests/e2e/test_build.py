"""``splitc build``: a recipe becomes a bundle, the same bytes each time, or nothing at all."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from e2e_setting import (
    CLASSES,
    CUT,
    SIDE,
    Outcome,
    build,
    cli,
    file_bytes,
    in_folder,
    listing,
    setting,
    tiny_net,
)

from splitc import driver, graph, trials
from splitc.bundle import open_bundle
from splitc.codec import Codec
from splitc.runtime import read_contract

DOCUMENT = {
    "bundle",
    "cut",
    "fidelity",
    "baseline_top1",
    "split_top1",
    "rate_bpe",
    "payload_bytes_mean",
    "feature_bytes",
    "edge_weight_bytes",
    "cloud_weight_bytes",
    "engines",
    "gates",
    "seconds",
}
"""What design section 3 promises of ``build --json``."""
TRITON = {"cloud/triton/README.txt", "cloud/triton/kserve.json"} | {
    f"cloud/triton/{variant}/tiny{part}/{file}"
    for variant in ("cpu", "gpu")
    for part, code in (("", "README.txt"), ("_decode", "model.py"), ("_tail", "model.py"))
    for file in ("config.pbtxt", f"1/{'README.txt' if (variant, part) == ('gpu', '_tail') else code}")
}
FILES = TRITON | {
    "manifest.json",
    "recipe.lock.toml",
    "contract.json",
    "edge/model.onnx",
    "edge/engines/cpu/build.json",
    "cloud/model.onnx",
    "cloud/engines/cpu/build.json",
    "verify.json",
    "report.html",
    "report.json",
    "sbom.json",
}
"""What design section 4 promises of a bundle whose halves run on ONNX Runtime."""


def test_the_document_has_every_promised_key(built: tuple[Path, Outcome]) -> None:
    out, outcome = built
    document = outcome.document
    assert document.keys() >= DOCUMENT
    assert (document["bundle"], document["cut"]) == (str(out), [CUT])
    assert document["feature_bytes"] == 4 * 8 * 16 * 16
    assert document["rate_bpe"] == pytest.approx(document["payload_bytes_mean"] * 8 / (8 * 16 * 16), rel=1e-12)
    assert document["rate_bpe"] < document["baseline_rate_bpe"] < 4  # 4-bit symbols of a feature that is mostly zero
    assert document["baseline_top1"] is document["split_top1"] is None
    assert [(one["side"], one["target"], one["backend"], one["status"]) for one in document["engines"]] == [
        ("edge", "cpu", "onnxruntime", "built"),
        ("cloud", "cpu", "onnxruntime", "built"),
    ]
    assert document["gates"] == []
    assert document["seconds"].keys() == {"load", "plan", "calibrate", "write", "engines", "verify", "report"}


def test_weights_are_counted_on_the_side_that_has_them(built: tuple[Path, Outcome]) -> None:
    document = built[1].document
    assert document["edge_weight_bytes"] == 4 * (3 * 8 * 9 + 2 * 8 * 8 * 9)
    assert document["cloud_weight_bytes"] == 4 * (8 * 16 * 9 + 64 * CLASSES + CLASSES)


def test_the_bundle_has_every_promised_file(bundle: Path) -> None:
    assert file_bytes(bundle).keys() == FILES
    opened = open_bundle(bundle)
    assert set(opened.manifest.files) == FILES - {"manifest.json"}
    assert opened.name == "tiny"


def test_no_place_and_no_clock_in_the_bundle(source: Path, bundle: Path) -> None:
    places = [str(source).encode(), str(bundle.parent).encode(), str(Path.home()).encode()]
    for name, data in file_bytes(bundle).items():
        assert not [place for place in places if place in data], name


def test_two_builds_are_byte_identical(bundle: Path, source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "again").code == 0
    assert file_bytes(tmp_path / "again") == file_bytes(bundle)


def test_another_folder_gives_the_same_bytes(bundle: Path, source: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(source, tmp_path / "a much longer name" / "inner")
    with in_folder(moved):
        assert cli("build", "recipe.toml").code == 0
    assert file_bytes(moved / "artifacts" / "tiny") == file_bytes(bundle)


def test_the_locked_recipe_builds_the_same_bundle(bundle: Path, source: Path, tmp_path: Path) -> None:
    lock = bundle / "recipe.lock.toml"
    outcome = cli("build", lock, "--base", source, "--locked", "--out", tmp_path / "locked")
    assert outcome.code == 0, outcome.err
    assert file_bytes(tmp_path / "locked") == file_bytes(bundle)


@pytest.mark.parametrize(
    ("file", "key"),
    [pytest.param("tiny.onnx", "model.sha256", id="model"), pytest.param("pictures", "data.sha256", id="data")],
)
def test_a_lock_refuses_other_inputs(file: str, key: str, bundle: Path, source: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(source, tmp_path / "copy")
    if file == "pictures":
        (copy / file / "picture00.png").unlink()
    else:
        (copy / file).write_bytes(tiny_net(seed=6).SerializeToString())
    lock = bundle / "recipe.lock.toml"
    outcome = cli("build", lock, "--base", copy, "--locked", "--out", tmp_path / "x")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith(f"splitc: {key}: pinned as ")
    assert not (tmp_path / "x").exists()


def test_locked_refuses_a_recipe_without_pins(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", "--locked")
    assert outcome.code == 2
    assert "model.sha256: --locked builds only what is pinned" in outcome.err


def test_planned_bytes_are_measured_on_other_samples_than_the_codec_was_fitted_on(source: Path) -> None:
    """Of 9 calibration pictures 5 fit and 4 are coded; nothing of the plan is an estimate."""
    recipe = driver.load_recipe(source / "recipe.toml")
    inputs = driver.find_inputs(recipe)
    halves = graph.split(inputs.model, [CUT])
    (feature,) = trials.features(halves, inputs.calibration)
    codec = Codec.fit(driver.codec_spec(recipe).without_tail(), halves.cut, [feature[::2]])
    sizes = [len(codec.encode([feature[index]])) for index in (1, 3, 5, 7)]
    chosen = driver.choose(inputs).best_cut
    assert chosen.is_measured
    assert chosen.payload_bytes == sum(sizes) / 4


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_limit_refuses_no_way_that_was_not_measured(source: Path, precision: str) -> None:
    """Or a cut would be worth it only because the better way without one is left out."""
    changes = [f"weights.precision={precision}", "gate.min_fidelity=0.01"]
    inputs = driver.find_inputs(driver.load_recipe(source / "recipe.toml", changes))
    verdict = driver.choose(inputs).verdict
    assert f"edge only, {precision}" in [rival.name for rival in verdict.rivals]
    assert verdict.warnings[-1].endswith(f"of float arithmetic; the verification measures {precision}.")


def test_an_earlier_bundle_is_replaced(source: Path, bundle: Path, tmp_path: Path) -> None:
    for bits in (2, 8):  # 8 is the default
        assert build(source, tmp_path / "x", *setting(f"codec.bits={bits}")).code == 0
    assert file_bytes(tmp_path / "x") == file_bytes(bundle)
    assert listing(tmp_path) == {"x"}


@pytest.mark.parametrize(
    ("cut", "shapes"),
    [
        pytest.param("stem/out", [["N", 8, 16, 16]], id="relu"),
        pytest.param("stem/conv", [["N", 8, 16, 16]], id="before-relu"),
        pytest.param("flat", [["N", 64]], id="rank-2"),
        pytest.param(["block/2/conv", "stem/out"], [["N", 8, 16, 16]] * 2, id="two-tensors"),
        pytest.param(["stem/out", "block/2/conv"], [["N", 8, 16, 16]] * 2, id="two-tensors-other-order"),
    ],
)
def test_explicit_cuts(cut: str | list[str], shapes: list[object], source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting(f"split.at={cut!r}"))
    assert outcome.code == 0, outcome.err
    names = [cut] if isinstance(cut, str) else cut
    contract = read_contract(open_bundle(tmp_path / "x"))
    assert outcome.document["cut"] == [spec.name for spec in contract.cut] == names
    assert [list(spec.shape) for spec in contract.cut] == shapes
    assert [spec.name for spec in contract.wire] == [f"{name}.symbols" for name in names]


MIDPOINT = "codec.reconstruction=midpoint"
"""Levels at which both answers of the last cuts are those of the unsplit network, on four pictures of a tiny one."""


@pytest.mark.parametrize(
    ("overrides", "allowed"),
    [
        pytest.param(['split.pin_cloud=["/deep/*"]'], {"stem/conv", "stem/out", "block/sum", CUT}, id="pin-cloud"),
        pytest.param(['split.pin_edge=["/deep/out"]'], {"deep/out", "pool", "flat"}, id="pin-edge"),
        pytest.param(["split.min_depth=0.9"], {"deep/conv", "deep/out", "pool", "flat"}, id="min-depth"),
        pytest.param(["split.objective=uplink", "link.uplink_mbps=0.1", MIDPOINT], {"pool", "flat"}, id="uplink"),
    ],
)
def test_auto_keeps_its_constraints(overrides: list[str], allowed: set[str], source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting("split.at=auto", *overrides))
    assert outcome.code == 0, outcome.err
    assert set(outcome.document["cut"]) <= allowed


@pytest.mark.parametrize(
    ("asked", "cosine"),
    [
        ("uniform rans bits=1 scope=tensor reconstruction=centroid", 0.7),
        ("uniform rans bits=8 scope=channel reconstruction=midpoint", 0.99999),
        ("uniform range bits=2 scope=channel", 0.9),
        ("uniform range bits=12 scope=tensor reconstruction=midpoint", 0.99999),
        ("uniform zstd bits=4 scope=tensor clip=minmax", 0.999),
        ("uniform zstd bits=16 scope=channel reconstruction=midpoint", 0.99999),
        ("uniform rans bits=4 clip=percentile percentile=99.5", 0.99),
        ("uniform rans bits=3 clip=kl", 0.9),
        ("step rans", 0.999),
        ("step rans step=0.1 scope=channel reconstruction=midpoint", 0.9999),
        ("step range step=0.01 bits=16", 0.99999),
        ("step zstd bits=3", 0.9),
        ("log rans bits=3 scope=tensor reconstruction=midpoint", 0.9),
        ("log rans bits=8 scope=channel reconstruction=centroid", 0.99999),
        ("log range bits=5 scope=channel reconstruction=midpoint", 0.999),
        ("log zstd bits=1 scope=channel", 0.7),
        ("log zstd bits=12 scope=channel", 0.99999),
        ("log rans bits=8 maximum=3.5 scope=tensor", 0.99),
        ("log rans bits=8 scope=sample", 0.9999),
        ("log range bits=16 scope=sample", 0.99999),
        ("binary rans", 0.7),
        ("binary range scope=tensor", 0.7),
        ("lloyd_max rans bits=4", 0.999),
        ("lloyd_max zstd bits=8 scope=tensor", 0.99999),
        ("uniform nrle bits=3 scope=tensor reconstruction=midpoint", 0.98),
        ("uniform huffman bits=8", 0.99999),
        ("uniform huffman bits=8 huffman_table=calibration", 0.99999),
        ("uniform cohen bits=2 scope=tensor", 0.9),
        ("clipped rans levels=11 percentile=99.5", 0.99),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_every_kind_of_codec(asked: str, cosine: float, source: Path, tmp_path: Path) -> None:
    """The bound on the cosine is loose: it tells a codec that works from one that garbles, no more."""
    quantizer, entropy, *given = asked.split()
    options = dict(one.split("=") for one in given)
    options |= {"quantizer": quantizer, "entropy": entropy}
    outcome = build(source, tmp_path / "x", *setting(*(f"codec.{key}={value}" for key, value in options.items())))
    assert outcome.code == 0, outcome.err
    opened = open_bundle(tmp_path / "x")
    contract, check = read_contract(opened), opened.read_json("verify.json")
    spec = contract.codec["spec"]
    assert {key: str(spec[key]) for key in options} == options
    assert contract.quantized_in == ("graph" if spec["bits"] <= 8 else "host")
    sides = [wire.name for wire in contract.wire if wire.dtype == "float32" and wire.name != CUT]
    assert sides == ([f"{CUT}.side"] if spec["scope"] == "sample" and spec["bits"] <= 8 else [])
    assert contract.wire[0].dtype == ("uint8" if spec["bits"] <= 8 else "float32")
    stages = {stage["name"]: stage for stage in check["stages"]}
    assert stages["coded"]["cosine"] > cosine
    assert stages["coded"]["added_max_abs_diff"] == 0.0  # entropy coding is lossless
    assert stages["split"]["max_abs_diff"] == 0.0  # the same operators in the same order
    assert 0 < check["rate_bpe"] < spec["bits"] + 1


def test_huffman_is_refused_above_8_bits(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting("codec.bits=12", "codec.entropy=huffman"))
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        outcome.err.splitlines()[-1]
        == "splitc: --set codec.bits: entropy coder 'huffman' takes at most 8 bits, got 12."
    )
    assert listing(tmp_path) == set()


@pytest.mark.parametrize(
    ("wrong", "top1"), [pytest.param(0, 1.0, id="all-right"), pytest.param(2, 1 / 3, id="two-wrong")]
)
def test_labels_give_top1(wrong: int, top1: float, source: Path, bundle: Path, tmp_path: Path) -> None:
    """Labels are the full model's own answers, some of them spoilt; 3 pictures verify."""
    copy = shutil.copytree(source, tmp_path / "copy")
    examples = open_bundle(bundle).read_json("report.json")["examples"]
    rows = [(one["name"], int(one["before"].removeprefix("class "))) for one in examples]
    rows = [(name, (index + (number < wrong)) % CLASSES) for number, (name, index) in enumerate(rows)]
    (copy / "labels.csv").write_text("picture,class\n" + "".join(f"{name},{index}\n" for name, index in rows))
    with in_folder(copy):
        document = build(copy, tmp_path / "x", *setting("data.labels=labels.csv", "codec.bits=8")).document
    assert document["baseline_top1"] == pytest.approx(top1, abs=1e-12)
    assert document["split_top1"] == pytest.approx(top1, abs=1e-12)


def test_labels_of_the_recipe_verify_too(source: Path, tmp_path: Path) -> None:
    """Regions of a picture whose name holds a #; both commands find its label."""
    copy = shutil.copytree(source, tmp_path / "copy")
    (copy / "pictures/picture11.png").rename(copy / "pictures/picture#11.png")
    (copy / "labels.csv").write_text("picture#11.png,3\n")
    overrides = ["data.labels=labels.csv", "data.crops=2", "data.verification=['pictures/picture#*.png']"]
    calibration = "data.calibration=['pictures/picture0*.png']"
    with in_folder(copy):
        built = build(copy, tmp_path / "x", *setting(*overrides, calibration))
    assert built.document["baseline_top1"] in (0.0, 0.5, 1.0)
    again = cli("verify", tmp_path / "x", "--base", copy, "--json").document
    assert None not in [stage["top1"] for stage in again["stages"]]
    assert again["stages"] == open_bundle(tmp_path / "x").read_json("verify.json")["stages"]


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    with in_folder(tmp_path):
        outcome = cli("build", source / "recipe.toml", "--dry-run", "--json", *setting("split.at=auto"))
    assert outcome.code == 0, outcome.err
    assert outcome.document.keys() >= {"chosen", "points", "baselines", "rejected"}
    assert outcome.document["best_cut"] in outcome.document["points"]
    assert listing(tmp_path) == set()
    assert "artifacts" not in listing(source)


def test_a_dry_run_for_people_is_on_stderr(source: Path) -> None:
    outcome = cli("build", source / "recipe.toml", "--dry-run", *setting("split.at=auto"))
    assert (outcome.code, outcome.out) == (0, "")
    assert "total ms" in outcome.err
    assert "Profile on the device before relying on times." in outcome.err


TENSORRT = ["target.edge.backend=tensorrt", "target.edge.device=jetson-orin-nano"]


def test_a_device_profile_of_ones_own(source: Path, tmp_path: Path) -> None:
    text = 'name = "mine"\ntitle = "My board"\nbandwidth_gb_s = 10\n[peak_tflops]\nfp32 = 0.1\n[sources]\n'
    (source / "board.toml").write_text(text + 'bandwidth_gb_s = "measured"\n"peak_tflops.fp32" = "measured"\n', "utf-8")
    with in_folder(source):
        outcome = build(source, tmp_path / "out", *setting("target.edge.device=board.toml"))
    assert outcome.code == 0, outcome.err
    assert [one["target"] for one in outcome.document["engines"] if one["side"] == "edge"] == ["mine"]


def test_an_engine_for_another_device_is_deferred(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting(*TENSORRT))
    assert outcome.code == 0, outcome.err
    edge = outcome.document["engines"][0]
    assert (edge["status"], edge["path"], edge["target"]) == ("deferred", None, "jetson-orin-nano")
    assert edge["command"].startswith("trtexec --onnx=edge/model.onnx --stronglyTyped --minShapes=image:1x3x32x32")
    assert edge["script"] == "edge/engines/jetson-orin-nano/build.sh"
    assert edge["reason"].endswith("run splitc engine on jetson-orin-nano, or build.sh.")
    opened = open_bundle(tmp_path / "x")
    flags = edge["command"].removeprefix("trtexec ").rpartition(" --saveEngine=")[0]
    assert flags in opened.file(edge["script"]).read_text()
    assert opened.file(edge["script"]).stat().st_mode & 0o111
    check = opened.read_json("verify.json")
    assert [stage["name"] for stage in check["stages"]] == ["full", "split", "quantized", "coded"]
    assert "runs on jetson-orin-nano, not here" in check["skipped"][0]["reason"]


def test_a_gpu_backend_on_a_device_without_a_gpu_is_refused(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting("target.edge.backend=tensorrt"))
    assert outcome.code == 2
    assert "target 'cpu' has no compute capability" in outcome.err
    assert listing(tmp_path) == set()


RTX = [
    "target.cloud.backend=tensorrt_rtx",
    "target.cloud.device=l4",
    "target.cloud.compute_capabilities=[80, 86, 89, 120]",
    "model.dims.N={min=1, opt=2, max=8}",
]


@pytest.mark.trt
@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None, reason="the trt-rtx extra is not installed"
)
def test_a_cloud_engine_is_built_ahead_of_time_twice_the_same(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        outcome = build(source, tmp_path / name, *setting(*RTX))
        assert outcome.code == 0, outcome.err
        cloud = outcome.document["engines"][1]
        assert (cloud["status"], cloud["reason"]) == ("built", None)
        assert cloud["path"] == "cloud/engines/l4/model.engine"
    assert file_bytes(tmp_path / "one") == file_bytes(tmp_path / "two")
    assert (tmp_path / "one" / cloud["path"]).stat().st_size == cloud["engine_bytes"] > SIDE
