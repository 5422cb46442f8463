"""TensorRT-RTX ahead of time: real builds where the extra is installed, honest records where it is not."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import pytest
from backend_models import REFUSED, STATIC, WIRE, WriteModel, data_models
from onnx import TensorProto, helper

from splitc.backends import BACKENDS, EngineRecord, EngineTarget
from splitc.backends import tensorrt_rtx as rtx
from splitc.backends._rtx_build import RefusedError, check_header
from splitc.errors import CapabilityError

EVERY_SM = (80, 86, 89, 120)
L4 = EngineTarget("l4", "cloud", EVERY_SM, {"N": (1, 2, 8)})


def build(model: Path, target: EngineTarget = L4, out: Path | None = None, **options: object) -> EngineRecord:
    return BACKENDS.make("tensorrt_rtx", options).build(model, target, out or model.parent)


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
def test_a_wire_builds_for_four_capabilities_and_repeats(write_model: WriteModel, tmp_path: Path) -> None:
    model = write_model(WIRE)
    records = [build(model, out=tmp_path / out / "cloud") for out in ("first", "second_with_a_longer_name")]
    assert records[0] == records[1]
    record = records[0]
    assert (record.status, record.path) == ("built", "cloud/engines/l4/model.engine")
    plan = (tmp_path / "first" / str(record.path)).read_bytes()
    check_header(plan)
    assert len(plan) == record.engine_bytes
    jsons = [
        (tmp_path / out / "cloud/engines/l4/build.json").read_bytes() for out in ("first", "second_with_a_longer_name")
    ]
    assert jsons[0] == jsons[1]


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
@pytest.mark.parametrize("network", ["mobilenet_v2_imagenet", "resnet56_cifar10"])
def test_plans_of_real_networks_repeat(network: str, tmp_path: Path) -> None:
    """ResNet-56 gave five different plans in eight builds before addresses were fixed."""
    paths = [path for path in data_models() if path.stem == network]
    if not paths:
        pytest.skip(f"no {network}: neither SPLITC_DATA nor ../shared/data has it")
    copy = tmp_path / "another_folder" / paths[0].name
    copy.parent.mkdir()
    copy.write_bytes(paths[0].read_bytes())
    records = [build(path, out=tmp_path / f"out{n}") for n, path in enumerate([paths[0], copy, paths[0]])]
    assert [record.status for record in records] == ["built"] * 3
    assert len({record.sha256 for record in records}) == 1


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
def test_external_weights(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 64])],
        [helper.make_tensor("w", TensorProto.FLOAT, [64, 64], [0.5] * 64 * 64)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="model.bin", size_threshold=0)
    record = build(path)
    assert record.status == "built", record.reason


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param(REFUSED, ["node 'node_of_y' (NonZero)", "NonZero plugin"], id="operator"),
        pytest.param(
            WIRE.replace("z = Mul(x, step)", "b = Cast<to = 2>(x) c = Cast<to = 1>(b) z = Mul(c, step)"),
            ["UINT8"],
            id="uint8-inside",
        ),
        pytest.param(STATIC.replace("float", "double"), ["inputs would be {'x': 'float32'}"], id="type-changed"),
    ],
)
def test_a_refused_model_has_failed_with_the_reason(text: str, parts: list[str], write_model: WriteModel) -> None:
    model = write_model(text)
    record = build(model)
    assert record.status == "failed"
    assert record.path is None
    assert record.reason is not None
    assert record.reason.startswith("tensorrt_rtx refuses model.onnx: ")
    assert all(part in record.reason for part in parts), record.reason
    assert "cudaError" not in record.reason
    assert list((model.parent / "engines/l4").iterdir()) == []


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
def test_a_failed_rebuild_takes_the_old_engine_away(write_model: WriteModel) -> None:
    assert build(write_model(WIRE)).status == "built"
    model = write_model(REFUSED)
    assert build(model).status == "failed"
    assert list((model.parent / "engines/l4").iterdir()) == []


@pytest.mark.trt
@pytest.mark.usefixtures("needs_rtx")
def test_the_script_of_a_missing_extra_builds_the_same_engine(
    write_model: WriteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(WIRE)
    target = EngineTarget("l4", "edge", EVERY_SM, {"N": (1, 2, 8)})
    here = build(model, target, tmp_path / "here" / "edge")
    monkeypatch.setattr(rtx, "_EXTRA", ("no_such_module",))
    record = build(model, target)
    assert record.status == "deferred"
    assert record.script is not None
    bundle = model.parents[1]
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["sh", str(bundle / record.script)], cwd="/", env=environment, check=True, capture_output=True)
    assert (bundle / "edge/engines/l4/built/model.engine").read_bytes() == (
        tmp_path / "here" / str(here.path)
    ).read_bytes()


def test_without_the_extra_the_engine_is_deferred(write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtx, "_EXTRA", ("no_such_module",))
    record = build(write_model(WIRE), EngineTarget("l4", "edge", (89,), {"N": (1, 2, 8)}))
    assert record.status == "deferred"
    assert record.reason == "the trt-rtx extra is not installed here: needs no_such_module"
    assert record.command == "pip install 'splitc[trt-rtx]' && sh edge/engines/l4/build.sh"


@pytest.mark.parametrize(
    ("device", "number"), [("jetson-orin-nano", 87), ("h100", 90), ("jetson-thor", 110)], ids=["orin", "hopper", "thor"]
)
def test_a_foreign_capability_is_deferred_to_its_device(device: str, number: int, write_model: WriteModel) -> None:
    target = EngineTarget(device, "edge", (80, number), {"N": (1, 1, 8)}, tensorrt="10.16")
    record = build(write_model(WIRE), target)
    assert record.status == "deferred"
    assert record.reason is not None
    assert f"TensorRT-RTX builds for SM 75, 80, 86, 89, 120, 121 and {device} is SM{number}" in record.reason
    assert record.command is not None
    assert record.command.startswith("trtexec --onnx=edge/model.onnx --stronglyTyped")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        pytest.param("import os; os.abort()", "ended with status -6: no output", id="crash"),
        pytest.param("import time; time.sleep(60)", "no plan after 1 s; raise timeout_s", id="hang"),
        pytest.param("print('not json')", "ended with status 0: no output", id="nonsense"),
        pytest.param("import sys; sys.exit('\\xff broken')", "ended with status 1: .*broken", id="words"),
    ],
)
def test_every_way_a_build_process_ends_is_an_answer(
    program: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(rtx.sys, "executable", str(interpreter))
    answer = rtx._ask({}, timeout_s=1)
    assert not answer.ok
    assert len(answer.errors) == 1
    assert re.search(message, answer.errors[0]), answer.errors[0]


@pytest.mark.parametrize("module", ["tempfile", "ctypes", "runpy", "json", "splitc"])
def test_what_lies_in_the_current_folder_or_beside_the_model_is_never_run(
    module: str, write_model: WriteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(WIRE)
    planted = tmp_path / "planted"
    for folder in (tmp_path, model.parent, model.parents[1]):
        (folder / f"{module}.py").write_text(f"open({str(planted)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    request = {"model": str(model), "plan": str(tmp_path / "plan"), "compute_capabilities": [86], "shapes": {}}
    answer = rtx._ask({**request, "inputs": [], "outputs": []}, timeout_s=60)
    assert answer.errors
    assert not planted.exists(), answer.errors
    monkeypatch.setattr(rtx, "_EXTRA", ("no_such_module",))
    record = build(model, EngineTarget("l4", "edge", (89,), {"N": (1, 2, 8)}))
    script = model.parents[1] / str(record.script)
    subprocess.run(["sh", str(script)], env={**os.environ, "PYTHON": sys.executable}, capture_output=True)
    assert not planted.exists()


@pytest.mark.parametrize("numbers", [(), (87,), (86, 90)], ids=str)
@pytest.mark.usefixtures("needs_rtx")
def test_an_order_for_other_gpus_is_refused(numbers: tuple[int, ...]) -> None:
    order = SimpleNamespace(compute_capabilities=numbers, side="edge", target="own")
    with pytest.raises(CapabilityError, match=r"asks for SM (none|87|90); TensorRT-RTX builds for 75, 80"):
        BACKENDS.make("tensorrt_rtx", {}).surroundings(order)


@pytest.mark.usefixtures("needs_rtx")
def test_capabilities_decide_an_engine() -> None:
    backend = BACKENDS.make("tensorrt_rtx", {})
    of = {
        numbers: backend.surroundings(SimpleNamespace(compute_capabilities=numbers, side="edge", target="own")).parts
        for numbers in ((86, 89), (89, 86), (86,))
    }
    assert of[86, 89] == of[89, 86] != of[86,]


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"ftrt" + bytes(60), id="magic"),
        pytest.param(b"vtrt" + bytes(12) + (65).to_bytes(8, "little") + bytes(40), id="size"),
    ],
)
def test_a_wrong_header_is_refused(plan: bytes) -> None:
    with pytest.raises(RefusedError, match="header is wrong"):
        check_header(plan)


def test_many_reasons_are_counted() -> None:
    assert rtx._sentence([f"reason {n}." for n in range(7)]).endswith("reason 4; and 2 more.")


def test_probe_agrees_with_what_is_installed() -> None:
    available = BACKENDS.make("tensorrt_rtx", {}).probe()
    assert available.ok == all(importlib.util.find_spec(module) for module in rtx._EXTRA)
    assert available.ok or available.how_to_get == "pip install 'splitc[trt-rtx]'"
