"""Each planted fault is found where it is, and clean graphs stay clean; what was measured is measured again."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from onnx import parser
from planted import CLEAN, HEADER, PLANTED, PLANTED_DLA, RTX, Planted

from splitc import graph
from splitc.backends import BACKENDS, EngineTarget
from splitc.errors import UsageError
from splitc.lint import RULES, TOOLKITS, LintTarget, lint, targets_named, with_dla
from splitc.lint.operators import NOWHERE

DATA = Path(os.environ.get("SPLITC_DATA", Path(__file__).parents[3] / "shared" / "data"))
MODELS = sorted((DATA / "models").glob("*.onnx"))
EVERYWHERE = tuple(TOOLKITS.values())


def proto(text: str) -> onnx.ModelProto:
    opsets = HEADER.replace('"" : 21', '"" : 21, "my.own" : 1') if "my.own" in text else HEADER
    model = parser.parse_model(opsets + text)
    for node in model.graph.node:
        node.name = node.output[0]
    return model


def load(text: str) -> ir.Model:
    return graph.model_from_ir(ir.from_proto(proto(text))).ir_model


def ids(planted: Planted) -> str:
    return f"{planted.rule}-at-{planted.node.split(chr(39))[1] if chr(39) in planted.node else 'graph'}"


@pytest.mark.parametrize("planted", PLANTED, ids=ids)
def test_a_planted_fault_is_found(planted: Planted) -> None:
    found = lint(load(planted.text), "edge", targets_named(planted.target), RULES)
    assert (planted.rule, planted.node) in {(one.rule, one.node) for one in found}
    one = next(one for one in found if (one.rule, one.node) == (planted.rule, planted.node))
    assert one.targets
    sentence = one.sentence()
    assert all(part in sentence for part in ("edge", planted.node, one.targets[0], one.why, one.fix))
    assert "\n" not in sentence


@pytest.mark.parametrize("planted", PLANTED_DLA, ids=ids)
def test_a_fault_on_the_accelerator_is_found_only_when_it_is_asked_for(planted: Planted) -> None:
    model, targets = load(planted.text), targets_named(planted.target)
    found = lint(model, "edge", with_dla(targets), RULES)
    assert (planted.rule, planted.node) in {(one.rule, one.node) for one in found}
    assert not lint(model, "edge", targets, RULES)


def test_every_rule_has_a_planted_fault() -> None:
    planted = {one.rule for one in (*PLANTED, *PLANTED_DLA)} | {"turing-fp32", "int4", "fp4"}
    assert planted == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES) >= 15


@pytest.mark.parametrize("planted", PLANTED, ids=ids)
def test_only_the_planted_fault_is_found(planted: Planted) -> None:
    found = lint(load(planted.text), "edge", targets_named(planted.target), RULES)
    assert {one.rule for one in found} == {planted.rule}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_graph_has_no_findings(name: str) -> None:
    assert lint(load(CLEAN[name]), "edge", EVERYWHERE, RULES) == ()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_real_networks_have_no_findings(path: Path) -> None:
    shapes = {"images": ("N", 3, 640, 640)} if path.stem == "yolo11n_coco" else {}  # the file leaves its sizes open
    assert lint(graph.load(path, shapes).ir_model, path.name, EVERYWHERE, RULES) == ()


def test_fp32_products_are_refused_on_turing() -> None:
    model = load("g (float[2, 3] x) => (float[2, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul(x, w) }")
    turing = LintTarget("t4", "tensorrt_rtx", (1, 7), (75, 80))
    assert [one.rule for one in lint(model, "m", (turing,), RULES)] == ["turing-fp32"]
    assert lint(model, "m", (replace(turing, capabilities=(80,)),), RULES) == ()


def with_weight(kind: ir.DataType) -> ir.Model:
    model = load(CLEAN["a tail"])
    packed = ir.Value(name="w4", type=ir.TensorType(kind), shape=ir.Shape([2]))
    packed.const_value = ir.tensor([1, 2], dtype=kind, name="w4")
    model.graph.register_initializer(packed)
    return model


def test_fp8_weights_alone_are_refused_on_orin() -> None:
    model = with_weight(ir.DataType.FLOAT8E4M3FN)
    assert {one.rule for one in lint(model, "m", targets_named("jetson-orin-nano"), RULES)} == {"fp8"}
    assert lint(model, "m", targets_named("l4"), RULES) == ()


@pytest.mark.parametrize(
    ("line", "number", "is_refused"),
    [((10, 16), 87, True), ((10, 16), 89, True), ((10, 7), 100, True), ((10, 8), 100, False), ((10, 16), 120, False)],
)
def test_fp4_needs_a_version_and_a_gpu(line: tuple[int, int], number: int, is_refused: bool) -> None:
    found = lint(with_weight(ir.DataType.FLOAT4E2M1), "m", (LintTarget("own", "tensorrt", line, (number,)),), RULES)
    assert [one.rule for one in found] == (["fp4"] if is_refused else [])


@pytest.mark.trt
def test_the_parser_knows_none_of_the_missing_operators() -> None:
    """In a process of its own: the toolkit's libraries stay loaded."""
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    program = (
        "import sys; from splitc.backends import _rtx_build as rtx; trt = rtx._load(); logger = rtx.make_logger(trt); "
        "network = trt.Builder(logger).create_network(0); parser = trt.OnnxParser(network, logger); "
        "print(*(name for name in sys.argv[1:] if parser.supports_operator(name)))"
    )
    asked = [sys.executable, "-c", program, *sorted(NOWHERE), "Relu"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split() == ["Relu"]


def test_int4_came_with_10() -> None:
    model = with_weight(ir.DataType.INT4)
    assert [one.rule for one in lint(model, "m", (TOOLKITS["tensorrt-8.6"],), RULES)] == ["int4"]
    assert lint(model, "m", (TOOLKITS["tensorrt-10.3"],), RULES) == ()


def test_bounds_cover_a_dimension() -> None:
    model = load("g (float[N, 3, H] x) => (float[N, 3, H] y) { y = Relu(x) }")
    target = replace(TOOLKITS[RTX], dims={"N": (1, 1, 8)})
    assert [one.detail for one in lint(model, "m", (target,), RULES)] == ["axis 2 is dynamic, and 'H' has no bounds"]
    assert lint(model, "m", (replace(target, dims={"N": (1, 1, 8), "H": (4, 4, 8)}),), RULES) == ()


def test_a_fixed_range_satisfies_the_accelerator() -> None:
    model = load("g (float16[N, 4] x) => (float16[N, 4] y) { y = Relu(x) }")
    (target, *_) = with_dla(targets_named("jetson-agx-orin"))
    assert [one.rule for one in lint(model, "m", (target,), RULES)] == ["dla-dynamic"]
    assert lint(model, "m", (replace(target, dims={"N": (1, 1, 1)}),), RULES) == ()


@pytest.mark.parametrize("device", ["jetson-orin-nano", "jetson-thor", "l4"])
def test_without_an_accelerator_nothing_else_is_said_of_it(device: str) -> None:
    """A list of what would fall back says nothing where there is nothing to fall back from."""
    model = load("g (float[N, 4] x) => (float[N, 4] r) { r = Round(x) }")
    assert {one.rule for one in lint(model, "m", with_dla(targets_named(device)), RULES)} == {"dla-absent"}


@pytest.mark.parametrize(
    ("line", "has_dla"), [((8, 6), True), ((10, 7), True), ((10, 8), False), ((11, 1), False), ((11, 4), True)]
)
def test_the_lines_that_have_the_accelerator(line: tuple[int, int], has_dla: bool) -> None:
    target = LintTarget("orin", "tensorrt", line, (87,), uses_dla=True, dla_cores=2)
    model = load("g (float16[1, 4] x) => (float16[1, 4] y) { y = Relu(x) }")
    assert (lint(model, "m", (target,), RULES) == ()) is has_dla


def test_targets_that_share_a_finding_are_listed_once() -> None:
    (found,) = lint(load("g (double[2] x) => (float[2] y) { y = Cast<to = 1>(x) }"), "m", EVERYWHERE, RULES)
    assert found.targets == tuple(TOOLKITS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("tensorrt-10.4", "unknown target 'tensorrt-10.4'. Did you mean 'tensorrt-10", id="toolkit"),
        pytest.param("cpu", "cpu: has no NVIDIA GPU", id="no-gpu"),
    ],
)
def test_targets_that_are_not_known(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        targets_named(name)


@pytest.mark.slow
@pytest.mark.trt
@pytest.mark.parametrize("planted", [one for one in PLANTED if one.is_seen_here], ids=ids)
def test_tensorrt_rtx_refuses_or_changes_it_too(planted: Planted, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    path = tmp_path / "model.onnx"
    onnx.save_model(proto(planted.text), path)
    record = BACKENDS.make("tensorrt_rtx", {}).build(path, EngineTarget("l4", "edge", (80, 86, 89, 120)), tmp_path)
    assert record.status == "failed", "TensorRT-RTX builds it: the rule is wrong"


@pytest.mark.slow
@pytest.mark.trt
@pytest.mark.parametrize("name", CLEAN)
def test_tensorrt_rtx_builds_the_clean_graphs(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    path = tmp_path / "model.onnx"
    onnx.save_model(proto(CLEAN[name]), path)
    target = EngineTarget("l4", "edge", (80, 86, 89, 120), {"N": (1, 1, 8)})
    record = BACKENDS.make("tensorrt_rtx", {}).build(path, target, tmp_path)
    assert record.status == "built", record.reason
