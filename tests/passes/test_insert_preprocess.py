"""Preprocessing in the graph gives the bits that preprocessing on the host gives."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from PIL import Image

from splitc import graph
from splitc.backends import read_interface
from splitc.driver import with_preprocess
from splitc.errors import GraphError, UsageError
from splitc.runtime import pixel_format
from splitc.runtime.pictures import fit_picture
from splitc.types import Preprocess

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8))
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def model(dtype: str, shape: str, opset: int = 17) -> graph.Model:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    net ({dtype}[{shape}] image) => ({dtype}[{shape}] y) {{ once = Neg(image)  y = Neg(once) }}"""
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))


def answer(changed: graph.Model, pixels: np.ndarray, level: ort.GraphOptimizationLevel) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    data = ir.to_proto(changed.ir_model).SerializeToString()
    (got,) = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, {"image": pixels})
    return got


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize(
    ("dtype", "shape", "how"),
    [
        pytest.param("float", "N,3,9,12", {}, id="unit"),
        pytest.param("float", "N,3,9,12", IMAGENET, id="imagenet"),
        pytest.param("float", "N,3,9,12", {"scale": 1.0, "mean": [103.5, 116.3, 123.7], "channels": "bgr"}, id="bgr"),
        pytest.param("float", "1,9,12,3", IMAGENET, id="nhwc"),
        pytest.param("float", "N,3,H,W", IMAGENET, id="dynamic"),
        pytest.param("float", "N,1,9,12", {"channels": "grey", "mean": [0.5]}, id="grey"),
        pytest.param("float16", "N,3,9,12", IMAGENET, id="float16"),
        pytest.param("double", "N,3,9,12", IMAGENET, id="float64"),
        pytest.param("float", "N,3,9,12", {"scale": 1.0}, id="pixels"),
    ],
)
def test_graph_and_host_agree_bit_for_bit(dtype: str, shape: str, how: dict, level: str) -> None:
    """Both do the same float32 operations in the same order; Neg twice changes no bit."""
    network = model(dtype, shape)
    host = Preprocess.model_validate(how)
    inside = host.model_copy(update={"in_graph": True})
    changed = with_preprocess(network, inside)
    pixels = fit_picture(PICTURE, host).pixels
    (spec,) = changed.inputs
    assert (spec.name, spec.dtype, spec.shape[-1]) == ("image", "uint8", pixels.shape[-1])
    assert changed.outputs == network.outputs
    fed = pixel_format(spec, inside).input_from_pixels(pixels)[None]
    assert fed.dtype == np.uint8
    wanted = pixel_format(network.inputs[0], host).input_from_pixels(pixels)[None]
    got = answer(changed, fed, getattr(ort.GraphOptimizationLevel, level))
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def test_the_network_itself_is_left_as_it_is(tmp_path) -> None:
    network = model("float", "N,3,9,12")
    assert with_preprocess(network, Preprocess()) is network
    before = ir.to_proto(network.ir_model).SerializeToString()
    changed = with_preprocess(network, Preprocess(in_graph=True))
    assert ir.to_proto(network.ir_model).SerializeToString() == before
    kinds = [node.op_type for node in changed.ir_model.graph]
    assert kinds == ["Cast", "Mul", "Transpose", "Neg", "Neg"]
    graph.save(changed.ir_model, tmp_path / "m.onnx")
    assert [spec.shape for spec in read_interface(tmp_path / "m.onnx").inputs] == [("N", 9, 12, 3)]


def test_an_input_that_is_an_output_too() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[N,3,9,12] image) => (float[N,3,9,12] image, float[N,3,9,12] y) { y = Neg(image) }"""
    network = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    with pytest.raises(GraphError, match="is an output too"):
        with_preprocess(network, Preprocess(in_graph=True))


@pytest.mark.parametrize(
    ("network", "error", "words"),
    [
        pytest.param(("uint8", "N,9,12,3"), GraphError, "only a float picture of 4 axes", id="uint8"),
        pytest.param(("float", "N,3"), GraphError, "only a float picture of 4 axes", id="rank"),
        pytest.param(("float", "N,3,9,3"), UsageError, "may be NCHW or NHWC", id="layout"),
        pytest.param(("float", "N,3,9,12", 6), GraphError, "imports opset 6, its operators need 7", id="opset"),
        pytest.param(("float", "N,4,9,12"), GraphError, "has 4 channels, a picture 3", id="channels"),
    ],
)
def test_networks_that_take_no_float_picture(network: tuple, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        with_preprocess(model(*network), Preprocess(in_graph=True))
