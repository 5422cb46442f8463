"""Halves that compute in INT8 or FP16: types in the graph, one quantizer at the cut, answers that stay."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from pathlib import Path

import onnx
import pytest
from e2e_setting import build, cli, file_bytes, setting, write_setting

from splitc.backends import read_interface
from splitc.lowering import hold_out_judges


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_setting(tmp_path_factory.mktemp("precision"))


def operators(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.fixture(scope="module")
def int8(source: Path) -> Path:
    out = source / "int8"
    outcome = build(source, out, *setting("weights.precision=int8", "codec.bits=6"))
    assert outcome.code == 0, outcome.err
    return out


def test_convolutions_and_products_read_int8(int8: Path) -> None:
    for side, computes in (("edge", 3), ("cloud", 2)):
        found = operators(int8 / side / "model.onnx")
        assert found["Conv"] + found["Gemm"] == computes
        assert found["DequantizeLinear"] == found["QuantizeLinear"] + computes  # weights are stored as INT8
        graph = onnx.load(int8 / side / "model.onnx").graph
        made = {node.output[0]: node.op_type for node in graph.node}
        for node in graph.node:
            if node.op_type in ("Conv", "Gemm"):
                assert [made[name] for name in node.input[:2]] == ["DequantizeLinear"] * 2


def test_only_standard_operators_are_declared(int8: Path) -> None:
    for side in ("edge", "cloud"):
        model = onnx.load(int8 / side / "model.onnx")
        assert [one.domain for one in model.opset_import] == [""]
        assert not model.metadata_props


def test_no_float_crosses_the_wire(int8: Path) -> None:
    assert [spec.dtype for spec in read_interface(int8 / "edge/model.onnx").outputs] == ["uint8"]
    assert [spec.dtype for spec in read_interface(int8 / "cloud/model.onnx").inputs] == ["uint8"]


def test_the_feature_is_quantized_once(int8: Path) -> None:
    outcome = cli("verify", int8, "--lint", "--json")
    assert outcome.document == {"ok": True, "findings": []}


def test_verify_tells_precision_from_codec(int8: Path, source: Path) -> None:
    outcome = cli("verify", int8, "--base", source, "--json")
    assert outcome.code == 0, outcome.err
    stages = {stage["name"]: stage for stage in outcome.document["stages"]}
    assert list(stages) == ["full", "split", "lowered", "quantized", "coded", "engine"]
    assert stages["split"]["max_abs_diff"] == 0
    assert stages["lowered"]["max_abs_diff"] > 0
    assert stages["coded"]["added_max_abs_diff"] == 0
    assert stages["lowered"]["cosine"] > 0.99


def test_two_builds_are_equal(int8: Path, source: Path) -> None:
    assert build(source, source / "again", *setting("weights.precision=int8", "codec.bits=6")).code == 0
    assert file_bytes(source / "again") == file_bytes(int8)


def test_sides_choose_for_themselves(source: Path, tmp_path: Path) -> None:
    chosen = setting(  # a processor has no FP16 rate to plan with
        "weights.edge.precision=fp16",
        "weights.cloud.precision=int8",
        "target.edge.device=jetson-orin-nx",
        "target.edge.backend=tensorrt",
    )
    outcome = build(source, tmp_path / "x", *chosen)
    assert outcome.code == 0, outcome.err
    edge = onnx.load(tmp_path / "x/edge/model.onnx").graph
    assert {tensor.data_type for tensor in edge.initializer if len(tensor.dims) == 4} == {onnx.TensorProto.FLOAT16}
    assert operators(tmp_path / "x/cloud/model.onnx")["QuantizeLinear"] > 0
    assert [spec.dtype for spec in read_interface(tmp_path / "x/edge/model.onnx").inputs] == ["float32"]
    assert cli("verify", tmp_path / "x", "--base", source).code == 0
    assert cli("verify", tmp_path / "x", "--lint").code == 0


@pytest.mark.trt
def test_int8_halves_compile(source: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    target = [f"target.{side}.{key}" for side in ("edge", "cloud") for key in ("backend=tensorrt_rtx", "device=l4")]
    outcome = build(source, tmp_path / "x", *setting("weights.precision=int8", *target))
    assert outcome.code == 0, outcome.err
    assert [one["status"] for one in outcome.document["engines"]] == ["built", "built"]


def test_layers_stay_float_as_far_as_the_limit_needs(source: Path, tmp_path: Path) -> None:
    """Sensitivities stand in the document, the most sensitive first, and the graph is what the document says."""
    asked = setting("weights.precision=int8", "codec.bits=8", "data.task=features", "gate.min_fidelity=0.99999")
    outcome = build(source, tmp_path / "x", *asked)
    layers = outcome.document["layer_precision"]
    assert len(layers) == 5
    assert [one["sensitivity_kl"] for one in layers] == sorted((one["sensitivity_kl"] for one in layers), reverse=True)
    floats = [one for one in layers if one["precision"] == "fp32"]
    assert layers[: len(floats)] == floats != []
    assert {one["side"]: one["step"] for one in outcome.document["weights"]} == {
        side: f"int8, {sum(one['side'] == side for one in floats)} of {count} layers in fp32"
        for side, count in (("edge", 3), ("cloud", 2))
    }
    bundle = Path(outcome.document["bundle"])
    for side in ("edge", "cloud"):
        graph = onnx.load(bundle / side / "model.onnx").graph
        made = {node.output[0]: node.op_type for node in graph.node}
        for node in graph.node:
            wanted = [one for one in layers if (one["side"], one["layer"]) == (side, node.name)]
            if wanted:
                is_int8 = made.get(node.input[1]) == "DequantizeLinear"
                assert is_int8 == (wanted[0]["precision"] == "int8"), node.name


def test_no_time_is_claimed_for_int8_that_nothing_is_left_of(source: Path, tmp_path: Path) -> None:
    """Pruning loses what no layer in float brings back: said so, with every layer in float and no time to win."""
    asked = setting("weights.precision=int8", "weights.prune={ conv = 0.9 }", "gate.min_fidelity=0.999")
    outcome = build(source, tmp_path / "x", *asked)
    assert outcome.code == 1
    steps = [one for one in outcome.document["weights"] if str(one["step"]).startswith("int8")]
    assert [one["step"] for one in steps] == ["int8, 3 of 3 layers in fp32", "int8, 2 of 2 layers in fp32"]
    assert {one["time"] for one in steps} == {
        "unchanged on cpu with onnxruntime: no layer computes otherwise than before"
    }
    notes = json.loads((tmp_path / "x.rejected/report.json").read_text("utf-8"))["notes"]
    assert any("not enough even so: what is missing is not lost by INT8" in note for note in notes)


def test_no_limit_no_search(int8: Path) -> None:
    assert json.loads((int8 / "report.json").read_text("utf-8"))["layer_precision"] == []


DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
RESNET20 = f"""\
schema = 1
name = "mixed"
[model]
source = "{DATA / "models/resnet20_cifar10.onnx"}"
[data]
calibration = "calibration/*"
verification = "verification/*"
[data.preprocess]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[split]
at = "/layer2/layer2.0/Relu_1_output_0"
[codec]
quantizer = "uniform"
bits = 8
[weights]
precision = "int8"
[gate]
min_fidelity = 0.99
"""


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "models/resnet20_cifar10.onnx").is_file(), reason=f"no {DATA} (set SPLITC_DATA)")
def test_a_real_network_meets_its_limit_by_itself(tmp_path: Path) -> None:
    """On pictures that nothing was calibrated on and nothing was judged by."""
    pictures = sorted((DATA / "images/cifar10_test").glob("*.jpg"))
    for name, chosen in (
        ("calibration", pictures[::5]),
        ("verification", [one for index, one in enumerate(pictures) if index % 5 in (1, 3)]),
    ):
        (tmp_path / name).mkdir()
        for picture in chosen:
            (tmp_path / name / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "recipe.toml").write_text(RESNET20)
    outcome = build(tmp_path, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    layers = outcome.document["layer_precision"]
    kept = [one for one in layers if one["precision"] == "int8"]
    assert 0 < len(kept) < len(layers)  # neither all in float, nor the limit met by luck
    assert outcome.document["fidelity"] >= 0.99


@pytest.mark.parametrize(("count", "fitted", "held"), [(3, 3, 3), (8, 6, 2), (128, 96, 32), (200, 100, 100)])
def test_samples_that_judge_were_not_calibrated_on(count: int, fitted: int, held: int) -> None:
    fit, judge = hold_out_judges(count, 128)
    assert (len(fit), len(judge)) == (fitted, held)
    assert count == 3 or not set(fit) & set(judge)
