"""What holds for every registered backend: one lifecycle, honest records, nothing written elsewhere."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from backend_models import STATIC, WIRE, WriteModel

from splitc.backends import BACKENDS, EngineTarget
from splitc.errors import BackendError, CapabilityError, UsageError

TARGET = EngineTarget("l4", "edge", (89,), {"N": (1, 2, 4)}, tensorrt="10.16")
EVERY = pytest.mark.parametrize("name", list(BACKENDS))
RUNNING = pytest.mark.parametrize("name", [name for name in BACKENDS if BACKENDS.load(name).can_run])
OTHERS = pytest.mark.parametrize("name", [name for name in BACKENDS if not BACKENDS.load(name).can_run])


def files_under(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@EVERY
def test_name_is_the_registry_key(name: str) -> None:
    assert BACKENDS.load(name).name == name


@EVERY
def test_probe_says_what_is_there_or_how_to_get_it(name: str) -> None:
    available = BACKENDS.make(name, {}).probe()
    assert available.detail
    assert available.ok or available.how_to_get


@EVERY
def test_build_fills_the_record_and_stays_in_its_folder(name: str, write_model: WriteModel) -> None:
    model = write_model(WIRE)
    bundle = model.parents[1]
    record = BACKENDS.make(name, {}).build(model, TARGET, bundle / "edge")
    assert (record.side, record.target, record.backend) == ("edge", "l4", name)
    assert [spec.name for spec in record.inputs + record.outputs] == ["symbols", "y"]
    assert (record.reason is None) == (record.status == "built")
    assert (record.command is None) == (record.status != "deferred")
    written = files_under(bundle) - {"edge/model.onnx"}
    assert all(path.startswith("edge/engines/l4/") for path in written)
    assert not any(path.endswith(".part") for path in written)
    assert (record.path is None) == (record.status != "built")
    if record.path is not None:
        engine = (bundle / record.path).read_bytes()
        assert (record.sha256, record.engine_bytes) == (hashlib.sha256(engine).hexdigest(), len(engine))


@EVERY
def test_nothing_that_is_written_names_this_machine(name: str, write_model: WriteModel) -> None:
    model = write_model(WIRE)
    bundle = model.parents[1]
    record = BACKENDS.make(name, {}).build(model, TARGET, bundle / "edge")
    texts = [record.model_dump_json(), *(path.read_text() for path in bundle.rglob("build.*"))]
    assert not any(str(bundle) in text for text in texts)


@EVERY
def test_two_builds_write_the_same(name: str, write_model: WriteModel, tmp_path: Path) -> None:
    model = write_model(WIRE)
    backend = BACKENDS.make(name, {})
    outs = [tmp_path / "a" / "edge", tmp_path / "a_longer_name" / "edge"]
    records = [backend.build(model, TARGET, out) for out in outs]
    first, second = ({path: (out / path).read_bytes() for path in files_under(out)} for out in outs)
    assert records[0] == records[1]
    assert first == second


@EVERY
def test_a_file_that_is_no_model_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    path.write_bytes(b"\x00 not a model")
    with pytest.raises(BackendError, match=r"^weights\.onnx: not an ONNX model"):
        BACKENDS.make(name, {}).build(path, TARGET, tmp_path)


@RUNNING
def test_a_runner_checks_answers_and_closes(name: str, write_model: WriteModel) -> None:
    runner = BACKENDS.make(name, {}).open(write_model(WIRE), threads=1)
    symbols = np.full((3, 4), 2, np.uint8)
    answer = runner.run({"symbols": symbols})
    assert list(answer) == [spec.name for spec in runner.outputs]
    assert answer["y"].shape == (3, 4)
    assert answer["y"].dtype == np.float32
    runner.close()
    runner.close()
    with pytest.raises(BackendError, match="closed"):
        runner.run({"symbols": symbols})


@RUNNING
@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        pytest.param({}, r"input 'x' is missing. The model takes 'x' float32\[2, 3\]", id="missing"),
        pytest.param({"x": np.zeros((2, 3), np.float32), "z": np.zeros(1)}, "unknown input 'z'", id="unknown"),
        pytest.param({"x": np.zeros((2, 3))}, r"'x' float32\[2, 3\] was given float64\[2, 3\]", id="dtype"),
        pytest.param({"x": np.zeros((2, 3, 1), np.float32)}, r"was given float32\[2, 3, 1\]", id="rank"),
        pytest.param({"x": np.zeros((2, 4), np.float32)}, "axis 1 must be 3", id="size"),
    ],
)
def test_feeds_that_do_not_fit(name: str, feeds: dict[str, np.ndarray], message: str, write_model: WriteModel) -> None:
    runner = BACKENDS.make(name, {}).open(write_model(STATIC))
    with pytest.raises(BackendError, match=message):
        runner.run(feeds)


@OTHERS
def test_a_backend_that_cannot_run_names_one_that_can(name: str, write_model: WriteModel) -> None:
    with pytest.raises(CapabilityError, match="onnxruntime"):
        BACKENDS.make(name, {}).open(write_model(STATIC))


@OTHERS
def test_a_device_without_a_gpu_is_refused(name: str, write_model: WriteModel, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"target 'cpu' has no compute capability.*onnxruntime"):
        BACKENDS.make(name, {}).build(write_model(STATIC), EngineTarget("cpu", "edge"), tmp_path)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_scripts_are_posix_shell(name: str, write_model: WriteModel) -> None:
    model = write_model(WIRE)
    target = EngineTarget("jetson-orin-nano", "edge", (87,), {"N": (1, 1, 8)}, tensorrt="10.3")
    record = BACKENDS.make(name, {}).build(model, target, model.parent)
    assert record.status == "deferred"
    assert record.script is not None
    subprocess.run(["sh", "-n", str(model.parents[1] / record.script)], check=True)


@pytest.mark.parametrize("device", ["", "../up", "a b", ".hidden", "x" * 65])
def test_a_device_name_is_a_safe_folder(device: str) -> None:
    with pytest.raises(BackendError, match="device name"):
        EngineTarget(device, "edge")


@pytest.mark.parametrize("line", ["10.3\nrm -rf x", "10.3\n", "$(id)", "ten", "10", "", "1" * 5000])
def test_a_tensorrt_line_is_a_version(line: str) -> None:
    """It stands in a shell script."""
    with pytest.raises(BackendError, match=r"is no version such as 10\.3"):
        EngineTarget("own", "edge", (87,), tensorrt=line)


@pytest.mark.parametrize("bounds", [(0, 1, 2), (2, 1, 4), (1, 5, 4)])
def test_bounds_must_be_ordered(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(BackendError, match="1 <= min <= opt <= max"):
        EngineTarget("l4", "edge", dims={"N": bounds})


def test_an_unknown_backend_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'tensorrtx'\. Did you mean 'tensorrt"):
        BACKENDS.load("tensorrtx")
