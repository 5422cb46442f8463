"""The ONNX reader against onnx itself, and against files that are not ONNX."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from backend_models import UNNAMED, WIRE, WriteModel, data_models
from onnx import TensorProto, helper, numpy_helper

from splitc.backends import read_interface
from splitc.backends.interface import model_digests
from splitc.errors import BackendError


def external_model(folder: Path, location: str) -> Path:
    """A MatMul whose weight lies in another file."""
    weight = numpy_helper.from_array(np.eye(300, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="project")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 300])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="model.bin", size_threshold=0)
    if location != "model.bin":
        path.write_bytes(path.read_bytes().replace(b"model.bin", location.encode()))
    return path


def test_names_types_and_dimensions(write_model: WriteModel) -> None:
    interface = read_interface(write_model(WIRE))
    assert [(s.name, s.dtype, s.shape) for s in interface.inputs] == [("symbols", "uint8", ("N", 4))]
    assert [(s.name, s.dtype, s.shape) for s in interface.outputs] == [("y", "float32", ("N", 4))]
    assert interface.external_files == ()


def test_an_unnamed_dimension(write_model: WriteModel) -> None:
    assert read_interface(write_model(UNNAMED)).inputs[0].shape == ("?", 3)


def test_weights_that_are_listed_as_inputs_are_not_inputs(write_model: WriteModel) -> None:
    path = write_model(WIRE)
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("step", TensorProto.FLOAT, [1]))
    onnx.save_model(model, path)
    assert [spec.name for spec in read_interface(path).inputs] == ["symbols"]


def test_external_weights_are_found_and_hashed(tmp_path: Path) -> None:
    path = external_model(tmp_path, "model.bin")
    interface = read_interface(path)
    assert interface.external_files == ("model.bin",)
    assert sorted(model_digests(path, interface)) == ["model.bin", "model.onnx"]
    (tmp_path / "model.bin").unlink()
    with pytest.raises(BackendError, match=r"weight file 'model\.bin' cannot be read"):
        model_digests(path, interface)


@pytest.mark.parametrize("location", ["../md.bin", "/tmp/m.bi"])
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    path = external_model(tmp_path, location)
    with pytest.raises(BackendError, match="outside the model's folder"):
        read_interface(path)


def test_a_weight_file_s_name_ends_no_line_of_a_script(tmp_path: Path) -> None:
    path = external_model(tmp_path, "m\nSUMS\n.b")
    with pytest.raises(BackendError, match="give the file a plain name"):
        read_interface(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="length-past-the-end"),
        pytest.param(b"\x08" + b"\xff" * 20, id="endless-number"),
        pytest.param(b"\x0b", id="group"),
        pytest.param(b"\x08\x01", id="no-graph"),
        pytest.param(b"PK\x03\x04 something else entirely", id="zip"),
    ],
)
def test_what_is_not_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"^m\.onnx: "):
        read_interface(path)


def test_every_truncation_is_read_or_refused(write_model: WriteModel, tmp_path: Path) -> None:
    data = write_model(WIRE).read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in range(1, len(data)):
        cut.write_bytes(data[:length])
        with contextlib.suppress(BackendError):
            read_interface(cut)


def test_every_flipped_byte_is_read_or_refused(write_model: WriteModel, tmp_path: Path) -> None:
    data = bytearray(write_model(WIRE).read_bytes())
    path = tmp_path / "flipped.onnx"
    for position in range(len(data)):
        for flip in (0x01, 0x80, 0xFF):
            data[position] ^= flip
            path.write_bytes(data)
            with contextlib.suppress(BackendError):
                read_interface(path)
            data[position] ^= flip


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"^none\.onnx: cannot be read"):
        read_interface(tmp_path / "none.onnx")


def test_real_models_agree_with_onnx() -> None:
    paths = data_models()
    if not paths:
        pytest.skip("no models: neither SPLITC_DATA nor ../shared/data has any")
    for path in paths:
        graph = onnx.load(path, load_external_data=False).graph
        weights = {tensor.name for tensor in graph.initializer}
        interface = read_interface(path)
        assert [s.name for s in interface.inputs] == [v.name for v in graph.input if v.name not in weights]
        for spec, value in zip(interface.outputs, graph.output, strict=True):
            dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            assert (spec.name, list(spec.shape)) == (value.name, dims)
