"""ONNX Runtime: right numbers, one-sentence refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from backend_models import STATIC, WIRE, WriteModel

from splitc.backends import BACKENDS, EngineTarget
from splitc.errors import BackendError

UNKNOWN_OP = STATIC.replace("Add(x, x)", "Frobnicate(x, x)")
BAD_RESHAPE = """
<ir_version: 8, opset_import: ["" : 17]>
flat (float[N, 4] x) => (float[A, B] y) <int64[2] shape = {3, 3}> { y = Reshape(x, shape) }
"""
DILATED = """
<ir_version: 8, opset_import: ["" : 17]>
same (float[N, 1, 6] x) => (float[N, 1, 6] y) <float[1, 1, 3] w = {1, 2, 3}>
{ y = Conv<auto_pad = "SAME_UPPER", dilations = [2]>(x, w) }
"""
TURNED_HALVES = """
<ir_version: 8, opset_import: ["" : 17]>
turned (float16[2, N, 3] x) => (float16[N, 2, 2] y) <float16[3, 2] w = {15360, 0, 0, 15360, 15360, 15360}>
{ turned = Transpose<perm = [1, 0, 2]>(x)  y = MatMul(turned, w) }
"""


def test_turned_halves_are_opened(write_model: WriteModel) -> None:
    """ONNX Runtime 1.32 ends the process here with all its passes on."""
    x = np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    answer = BACKENDS.make("onnxruntime", {"provider": "cpu"}).open(write_model(TURNED_HALVES)).run({"x": x})["y"]
    weight = np.array([[1, 0], [0, 1], [1, 1]], np.float16)
    np.testing.assert_array_equal(answer, x.transpose(1, 0, 2) @ weight)  # small whole numbers: exact


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_numbers_do_not_depend_on_options_here(optimize: bool, threads: int, write_model: WriteModel) -> None:
    runner = BACKENDS.make("onnxruntime", {"provider": "cpu"}).open(
        write_model(WIRE), threads=threads, optimize=optimize
    )
    symbols = np.arange(8, dtype=np.uint8).reshape(2, 4)
    np.testing.assert_array_equal(runner.run({"symbols": symbols})["y"], symbols * np.float32(0.5))


def test_the_model_is_the_engine(write_model: WriteModel) -> None:
    model = write_model(WIRE)
    record = BACKENDS.make("onnxruntime", {}).build(model, EngineTarget("cpu", "cloud"), model.parent)
    assert (record.status, record.path) == ("built", "cloud/model.onnx")
    document = json.loads((model.parent / "engines/cpu/build.json").read_text())
    assert document["sources"] == {"cloud/model.onnx": record.sha256}
    assert "onnxruntime" in document["versions"]


def test_an_unknown_operator_is_a_failed_record(write_model: WriteModel) -> None:
    model = write_model(UNKNOWN_OP)
    record = BACKENDS.make("onnxruntime", {}).build(model, EngineTarget("cpu", "edge"), model.parent)
    assert record.status == "failed"
    assert record.reason is not None
    assert record.reason.startswith("model.onnx: onnxruntime refuses the model: ")
    assert "Frobnicate" in record.reason
    assert "\n" not in record.reason
    assert "ONNXRuntimeError" not in record.reason


def test_a_failure_while_running_names_the_node(write_model: WriteModel) -> None:
    runner = BACKENDS.make("onnxruntime", {"provider": "cpu"}).open(write_model(BAD_RESHAPE))
    with pytest.raises(BackendError, match=r"^model\.onnx: onnxruntime failed while running: .*node_of_y"):
        runner.run({"x": np.zeros((1, 4), np.float32)})
    with pytest.raises(BackendError, match=r"\. It was given 'x' \[1, 4\]; if other sizes run, the model takes fewer"):
        runner.run({"x": np.zeros((1, 4), np.float32)})


@pytest.mark.parametrize("optimize", [True, False])
def test_what_the_toolkit_lacks_is_not_blamed_on_sizes(optimize: bool, write_model: WriteModel) -> None:
    runner = BACKENDS.make("onnxruntime", {"provider": "cpu"}).open(write_model(DILATED), optimize=optimize)
    with pytest.raises(BackendError, match=r"any size of the inputs: export the layer with explicit pads") as refusal:
        runner.run({"x": np.zeros((1, 1, 6), np.float32)})
    assert "other sizes" not in str(refusal.value)


def test_threads_must_be_positive(write_model: WriteModel) -> None:
    with pytest.raises(BackendError, match="threads is 0"):
        BACKENDS.make("onnxruntime", {}).open(write_model(WIRE), threads=0)
