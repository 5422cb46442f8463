"""What exporters declare where they know no shape: scalars, -1, 0, names that are none, nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from splitc import graph
from splitc.backends import read_interface
from splitc.errors import GraphError, UsageError
from splitc.evaluate import random_answers, run_each


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        pytest.param("y = Relu(x)", ("n", 3), id="it-is-none"),
        pytest.param("y = ReduceSum<keepdims = 0>(x)", (), id="it-is-one"),
        pytest.param("s = NonZero(x) f = Cast<to = 1>(s) y = Reshape(f, k)", (), id="nobody-knows"),
    ],
)
def test_a_declared_scalar_is_what_inference_says(body: str, shape: tuple[int | str, ...]) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[n, 3] x, int64[m] k) => (float y) {{ {body} }}'
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    assert [spec.shape for spec in model.outputs] == [shape]


def declared(dims: list[int | str | None], extra: list[int | str] | None = None) -> onnx.ModelProto:
    """A network of one input, whose dimensions are written down as they stand."""
    shape = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, dims)
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Neg", ["r"], ["y"])]
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, extra if extra is not None else dims)
    model = helper.make_model(helper.make_graph(nodes, "g", [shape], [out]), ir_version=8)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", 17))
    return model


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        pytest.param([-1, 3, 8, 8], ("x_dim0", 3, 8, 8), id="minus-one"),
        pytest.param([0, 3, 0, 0], ("x_dim0", 3, "x_dim2", "x_dim3"), id="zero"),
        pytest.param([-1, 3, "?", "?"], ("x_dim0", 3, "x_dim2", "x_dim3"), id="paddle"),
        pytest.param(["None", 3, "None", "None"], ("x_dim0", 3, "x_dim2", "x_dim3"), id="keras"),
        pytest.param(["N", 3, "H", "H"], ("N", 3, "H", "H"), id="names-stay"),
        pytest.param([2, 3, 4], (2, 3, 4), id="sizes-stay"),
    ],
)
def test_sizes_and_names_that_are_none_are_dynamic(
    dims: list[int | str | None], expected: tuple[int | str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(declared(dims), path)
    model = graph.load(path)
    assert model.inputs[0].shape == expected
    assert [spec.shape for spec in model.values if spec.name == "y"] == [expected]
    assert model.flops >= 0
    listed = graph.enumerate_cuts(model, 1).candidates
    assert [cut.names for cut in listed] == [("r",)]
    assert listed[0].wire_bytes > 0
    unnamed = tuple("?" if isinstance(dim, str) and dim.startswith("x_dim") else dim for dim in expected)
    assert read_interface(path).inputs[0].shape == unnamed


def test_an_output_declared_with_minus_one_has_its_inputs_size() -> None:
    model = graph.model_from_ir(ir.from_proto(declared(["N", 3], [-1, 3])))
    assert model.outputs[0].shape == ("N", 3)


def test_a_size_of_zero_that_is_computed_stays(tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N, 3] x) => (float[N, 3] y) <float[0] none = {}> '
        "{ k = Identity(none) r = Relu(x) y = Neg(r) }"
    )
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    assert [value.shape for value in graph.model_from_ir(model.ir_model).values if value.name == "y"] == [("N", 3)]
    assert model.ir_model.graph.initializers["none"].const_value.size == 0


def test_an_input_without_a_shape_is_refused_until_it_has_one() -> None:
    def bare() -> ir.Model:
        proto = declared(["N", 3])
        proto.graph.input[0].type.tensor_type.ClearField("shape")
        return ir.from_proto(proto)

    with pytest.raises(GraphError, match=r"input 'x' declares no shape.*--shape x:Nx3x224x224"):
        graph.model_from_ir(bare())
    assert graph.model_from_ir(bare(), {"x": ("N", 3)}).inputs[0].shape == ("N", 3)


def double(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


def in_a_branch(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same in the branches of an If."""
    weights = [numpy_helper.from_array(np.float32([k]), "b") for k in (1, 2)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["b"], ["o"])],
        "body",
        [],
        [helper.make_tensor_value_info("o", onnx.TensorProto.FLOAT, [1])],
        weights,
    )
    proto.graph.node.insert(0, helper.make_node("If", ["flag"], ["i"], then_branch=body, else_branch=body))
    proto.graph.input.append(helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, []))
    return proto


def with_weight(proto: onnx.ModelProto) -> onnx.ModelProto:
    proto.graph.initializer.append(numpy_helper.from_array(np.float32([1, 2, 3]), "w"))
    proto.graph.node[1].CopyFrom(helper.make_node("Mul", ["r", "w"], ["y"]))
    return proto


@pytest.mark.parametrize(
    ("proto", "name"),
    [
        pytest.param(lambda: double(with_weight(declared(["N", 3]))), "w", id="top"),
        pytest.param(lambda: double(double(with_weight(declared(["N", 3])))), "w", id="three"),
        pytest.param(lambda: in_a_branch(declared(["N", 3])), "b", id="branch"),
    ],
)
def test_two_initializers_of_one_name_are_refused(
    proto: Callable[[], onnx.ModelProto], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(proto(), path)
    with pytest.raises(GraphError, match=f"initializers are called '{name}'"):
        graph.load(path)


def renamed(node: int, name: str, proto: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """The model with another name for the output of a node."""
    proto = with_weight(declared(["N", 3])) if proto is None else proto
    proto.graph.node[node].output[0] = name
    return proto


@pytest.mark.parametrize(
    ("proto", "name"),
    [
        pytest.param(lambda: renamed(1, "r"), "r", id="made-twice"),
        pytest.param(lambda: renamed(0, "w"), "w", id="initializer"),
        pytest.param(lambda: renamed(0, "x"), "x", id="input"),
    ],
)
def test_a_value_that_is_made_again_is_refused(proto: Callable[[], onnx.ModelProto], name: str, tmp_path: Path) -> None:
    onnx.save(proto(), tmp_path / "m.onnx")
    with pytest.raises(GraphError, match=f"m.onnx: .*two values are called '{name}', and node"):
        graph.load(tmp_path / "m.onnx")


BAKED = {
    "batch": (
        "g (float[N, 4] x) => (float[M, 4] y) <int64[2] s = {1, 4}> { r = Relu(x) z = Reshape(r, s) y = Neg(z) }",
        lambda shape: shape[0] == 1,
    ),
    "spatial": (
        "g (float[N, 1, H, W] x) => (float[N, 1, h, v] y) { r = AveragePool<kernel_shape = [9, 9]>(x) y = Neg(r) }",
        lambda shape: min(shape[2:]) > 8,
    ),
    "state": (
        "g (float[N, 4] x, float[2, N, 4] h) => (float[a, b, c] y) <int64[3] s = {2, 1, 4}> "
        "{ r = Add(h, x) z = Reshape(r, s) y = Neg(z) }",
        lambda shape: shape[0] == 1,
    ),
}


def written(text: str, path: Path) -> graph.Model:
    model = graph.model_from_ir(
        ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'))
    )
    graph.save(model.ir_model, path)
    return model


@pytest.mark.parametrize("kind", BAKED)
def test_random_inputs_fit_what_is_baked_in(kind: str, tmp_path: Path) -> None:
    text, fits = BAKED[kind]
    model = written(text, tmp_path / "m.onnx")
    (feeds, *_), (answers, *_) = random_answers(tmp_path / "m.onnx", model.inputs, run_each)
    assert fits(feeds["x"].shape)
    assert answers["y"].size


def test_sizes_that_nothing_fits_name_the_option(tmp_path: Path) -> None:
    text = "g (float[N, T] x) => (float[a, b] y) <int64[2] s = {3, 7}> { r = Relu(x) y = Reshape(r, s) }"
    model = written(text, tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=r"cannot be run on random inputs.*--shape NAME:1x3x224x224"):
        random_answers(tmp_path / "m.onnx", model.inputs, run_each)
