"""TensorRT: the script that finishes an engine on its device, run here against a stand-in for trtexec."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from backend_models import STATIC, UNNAMED, WIRE, WriteModel

from splitc.backends import BACKENDS, EngineRecord, EngineTarget
from splitc.errors import BackendError, UsageError

ORIN = EngineTarget("jetson-orin-nano", "edge", (87,), {"N": (1, 2, 8)}, tensorrt="10.3")
STAND_IN = """#!/bin/sh
for flag in "$@"; do
    printf '%s\\n' "$flag"
    case $flag in --saveEngine=*) printf engine > "${flag#--saveEngine=}" ;; esac
done > trtexec.log
exit ${TRTEXEC_STATUS:-0}
"""


def build(model: Path, target: EngineTarget = ORIN) -> EngineRecord:
    return BACKENDS.make("tensorrt", {}).build(model, target, model.parent)


def run_script(bundle: Path, record: EngineRecord, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run build.sh from another folder with the stand-in."""
    stand_in = bundle / "trtexec"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    assert record.script is not None
    env = {**os.environ, "TRTEXEC": str(stand_in), **environment}
    return subprocess.run(["sh", str(bundle / record.script)], cwd="/", env=env, capture_output=True, text=True)


def test_the_record_carries_the_exact_command(write_model: WriteModel) -> None:
    record = build(write_model(WIRE))
    assert record.command == (
        "trtexec --onnx=edge/model.onnx --stronglyTyped --minShapes=symbols:1x4 --optShapes=symbols:2x4 "
        "--maxShapes=symbols:8x4 --profilingVerbosity=detailed --skipInference "
        "--saveEngine=edge/engines/jetson-orin-nano/built/model.engine"
    )


@pytest.mark.parametrize(
    ("line", "typed"),
    [pytest.param("10.3", True, id="10"), pytest.param("11.4", False, id="11"), pytest.param(None, True, id="unknown")],
)
def test_strong_typing_is_a_flag_only_on_10(line: str | None, typed: bool, write_model: WriteModel) -> None:
    record = build(write_model(STATIC), EngineTarget("l4", "edge", (89,), tensorrt=line))
    assert record.command is not None
    assert ("--stronglyTyped" in record.command) is typed
    assert record.reason is not None
    assert ("on 11 leave out --stronglyTyped" in record.reason) is (line is None)


def test_the_script_makes_the_engine_the_record_promises(write_model: WriteModel) -> None:
    model = write_model(WIRE)
    bundle = model.parents[1]
    done = run_script(bundle, build(model))
    assert done.returncode == 0, done.stderr
    assert (bundle / "edge/engines/jetson-orin-nano/built/model.engine").read_text() == "engine"
    assert "--optShapes=symbols:2x4" in (bundle / "trtexec.log").read_text().splitlines()


def test_a_changed_model_stops_the_script(write_model: WriteModel) -> None:
    model = write_model(WIRE)
    record = build(model)
    model.write_bytes(model.read_bytes() + b"\x00")
    done = run_script(model.parents[1], record)
    assert done.returncode == 2
    assert "the model is not the one of this bundle" in done.stderr
    assert not (model.parent / "engines/jetson-orin-nano/built").exists()


def test_a_failed_build_leaves_no_engine(write_model: WriteModel) -> None:
    model = write_model(WIRE)
    done = run_script(model.parents[1], build(model), TRTEXEC_STATUS="1")
    assert done.returncode == 1
    assert list((model.parent / "engines/jetson-orin-nano/built").iterdir()) == []


def test_no_trtexec_is_said_plainly(write_model: WriteModel) -> None:
    model = write_model(WIRE)
    done = run_script(model.parents[1], build(model), TRTEXEC="no-such-trtexec")
    assert done.returncode == 3
    assert "no trtexec; install TensorRT or set TRTEXEC" in done.stderr


def test_strange_names_are_quoted(write_model: WriteModel) -> None:
    model = write_model(WIRE, "it's $(a) model.onnx")
    done = run_script(model.parents[1], build(model))
    assert done.returncode == 0, done.stderr
    assert "--onnx=edge/it's $(a) model.onnx" in (model.parents[1] / "trtexec.log").read_text().splitlines()


def test_the_cache_key_follows_its_inputs(write_model: WriteModel) -> None:
    key = build(write_model(WIRE)).cache_key
    assert key == build(write_model(WIRE)).cache_key
    assert key != build(write_model(WIRE.replace("0.5", "0.25"))).cache_key
    changed = [
        EngineTarget("jetson-orin-nano", "edge", (86,), {"N": (1, 2, 8)}, tensorrt="10.3"),
        EngineTarget("jetson-orin-nano", "edge", (87,), {"N": (1, 4, 8)}, tensorrt="10.3"),
        EngineTarget("jetson-orin-nano", "edge", (87,), {"N": (1, 2, 8)}, tensorrt="10.16"),
    ]
    assert len({key, *(build(write_model(WIRE), target).cache_key for target in changed)}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(WIRE, r"no bounds for 'N'; add \[model\] dims = \{ N = ", id="no-bounds"),
        pytest.param(UNNAMED, r"dynamic dimension without a name; name it: \[model\] shapes", id="no-name"),
    ],
)
def test_dynamic_dimensions_need_names_and_bounds(text: str, message: str, write_model: WriteModel) -> None:
    with pytest.raises(BackendError, match=message):
        build(write_model(text), EngineTarget("l4", "edge", (89,)))


def test_a_line_before_8_6_is_refused(write_model: WriteModel) -> None:
    with pytest.raises(BackendError, match=r"has TensorRT 8\.5; splitc builds for 8\.6 and later"):
        build(write_model(STATIC), EngineTarget("old-jetson", "edge", (72,), tensorrt="8.5"))


def test_precisions_are_allowed_where_typing_is_weak(write_model: WriteModel) -> None:
    half = write_model(STATIC.replace("float", "float16"))
    command = build(half, EngineTarget("orin", "edge", (87,), tensorrt="8.6")).command
    assert command is not None
    assert "--fp16" in command
    assert "--stronglyTyped" not in command
    assert "--fp16" not in str(build(half, EngineTarget("orin", "edge", (87,), tensorrt="10.3")).command)


def test_options_reach_the_command_and_the_key(write_model: WriteModel) -> None:
    options = {"dla_core": 0, "workspace_mb": 512, "version_compatible": True, "hardware_compatible": True}
    options |= {"strip_weights": True, "sparse_weights": True, "weight_streaming": True, "optimization_level": 4}
    options |= {"timing_cache": "t.cache", "timing_cache_sha256": "0" * 64}
    model = write_model(STATIC)
    target = EngineTarget("orin", "edge", (87,), tensorrt="10.3")
    record = BACKENDS.make("tensorrt", options).build(model, target, model.parent)
    assert record.command is not None
    for flag in (
        *("--useDLACore=0", "--allowGPUFallback", "--memPoolSize=workspace:512M", "--versionCompatible"),
        *("--hardwareCompatibilityLevel=ampere+", "--stripWeights", "--sparsity=enable", "--allowWeightStreaming"),
        *("--builderOptimizationLevel=4", "--timingCacheFile=t.cache", "--errorOnTimingCacheMiss"),
    ):
        assert flag in record.command.split(), flag
    order = json.loads((model.parent / "engines/orin/build.json").read_text())
    assert "timing_cache_sha256" not in order["options"]
    assert record.cache_key != build(model, target).cache_key


def test_a_timing_cache_without_its_hash_is_refused() -> None:
    with pytest.raises(UsageError, match="go together"):
        BACKENDS.make("tensorrt", {"timing_cache": "t.cache"})


def test_records_are_json(write_model: WriteModel) -> None:
    record = build(write_model(WIRE))
    assert EngineRecord.model_validate(json.loads(record.model_dump_json())) == record
