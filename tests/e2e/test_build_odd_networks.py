"""Builds of networks that ONNX Runtime runs and that exporters rarely write."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from e2e_setting import build, cli
from onnx import TensorProto, helper, numpy_helper
from refusals import assert_refused

from splitc.bundle import open_bundle

sys.path.insert(0, str(Path(__file__).parents[1] / "passes"))
import strangers

RECIPE = (
    'schema = 1\nname = "odd"\n[model]\nsource = "model.onnx"\n[data]\ncalibration = "data"\ntask = "features"\n'
    '[codec]\nprofile = "fast"\n'
)
FLOAT = TensorProto.FLOAT


def network(*outputs: onnx.ValueInfoProto, more: tuple[onnx.NodeProto, ...] = ()) -> onnx.ModelProto:
    """Conv, Relu, mean, Gemm with outputs beside ``y``."""
    random = np.random.default_rng(0)
    weights = {"w0": (8, 3, 3, 3), "w1": (8, 5), "b1": (5,)}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["y"]),
        *more,
    ]
    x = helper.make_tensor_value_info("x", FLOAT, ["N", 3, strangers.SIDE, strangers.SIDE])
    y = helper.make_tensor_value_info("y", FLOAT, ["N", 5])
    arrays = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    graph = helper.make_graph(nodes, "g", [x], [y, *outputs], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(folder: Path, model: onnx.ModelProto, more: str = "") -> Path:
    (folder / "data").mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    random = np.random.default_rng(1)
    for index in range(8):
        x = random.standard_normal((1, 3, strangers.SIDE, strangers.SIDE)).astype(np.float32)
        np.save(folder / "data" / f"{index}.npy", x)
    (folder / "recipe.toml").write_text(RECIPE + more, "utf-8")
    return folder


def stages(bundle: Path) -> dict[str, dict[str, float]]:
    return {one["name"]: one for one in open_bundle(bundle).read_json("verify.json")["stages"]}


def assert_built(folder: Path, out: Path, *flags: str) -> None:
    outcome = build(folder, out, *flags)
    assert outcome.code == 0, outcome.err
    assert stages(out)["split"]["max_abs_diff"] == 0.0
    assert stages(out)["coded"]["cosine"] > 0.9, "random samples through 8-bit levels are well above"


WEIGHTS = {"bias": ("b1", [5]), "weight": ("w1", [8, 5])}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_auto_leaves_a_tail_where_a_weight_is_an_output(kind: str, precision: str, tmp_path: Path) -> None:
    model = network(helper.make_tensor_value_info(WEIGHTS[kind][0], FLOAT, WEIGHTS[kind][1]))
    folder = write(tmp_path / "setting", model, f'[weights]\nprecision = "{precision}"\n')
    assert_built(folder, tmp_path / "x")
    assert [one["name"] for one in json.loads((tmp_path / "x" / "contract.json").read_text())["cut"]] != ["y"]


def test_a_cut_before_nothing_but_constants_is_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "setting", network(helper.make_tensor_value_info("b1", FLOAT, [5])), '[split]\nat = "y"\n'
    )
    outcome = build(folder, tmp_path / "x")
    assert_refused(outcome, 2, "all other outputs of the model are constants, so the tail would compute nothing")


def test_an_output_that_is_listed_twice_is_answered_once(tmp_path: Path) -> None:
    model = network(helper.make_tensor_value_info("y", FLOAT, ["N", 5]))
    assert_built(write(tmp_path / "setting", model), tmp_path / "x")


def test_an_input_that_is_an_output_is_answered_on_the_edge(tmp_path: Path) -> None:
    model = network(helper.make_tensor_value_info("x", FLOAT, ["N", 3, strangers.SIDE, strangers.SIDE]))
    more = '[split]\nat = "r"\n[split.keep]\nx = "edge"\n'
    assert_built(write(tmp_path / "setting", model, more), tmp_path / "x")


def test_an_input_that_is_an_output_comes_with_the_way_to_keep_it(tmp_path: Path) -> None:
    model = network(helper.make_tensor_value_info("x", FLOAT, ["N", 3, strangers.SIDE, strangers.SIDE]))
    folder = write(tmp_path / "setting", model)
    way = "split.keep = { 'x' = 'edge' }"
    assert_refused(build(folder, tmp_path / "x"), 2, way)
    assert_refused(cli("split", folder / "model.onnx", "--at", "r", "--out", tmp_path / "halves"), 2, way, "--exit")
    assert way in cli("inspect", folder / "model.onnx").err
    onnx.save(network(), tmp_path / "plain.onnx")
    assert "split.keep" not in cli("inspect", tmp_path / "plain.onnx").err
    assert cli("split", folder / "model.onnx", "--at", "r", "--exit", "x", "--out", tmp_path / "halves").code == 0
    assert build(folder, tmp_path / "x", "--set", way.replace(" = {", "={")).code == 0


def test_tensors_of_a_cut_may_differ_in_axis_0(tmp_path: Path) -> None:
    norm = helper.make_node("ReduceMax", ["r"], ["top"], axes=[0, 2, 3], keepdims=0)
    model = network(helper.make_tensor_value_info("top", FLOAT, [8]), more=(norm,))
    assert_built(write(tmp_path / "setting", model, '[split]\nat = ["top", "f"]\n'), tmp_path / "x")


@pytest.mark.parametrize("at", ["r", "auto"])
def test_an_input_without_a_shape_has_that_of_the_samples(at: str, tmp_path: Path) -> None:
    model = network()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    folder = write(tmp_path / "setting", model, f'[split]\nat = "{at}"\n')
    assert_built(folder, tmp_path / "x")
    lock = (tmp_path / "x" / "recipe.lock.toml").read_text("utf-8")
    assert f'x = [\n    "N",\n    3,\n    {strangers.SIDE},' in lock, "whoever verifies or builds again needs it too"
    said = json.loads((tmp_path / "x" / "report.json").read_text("utf-8"))
    assert "input 'x' declares no shape; it has that of " in json.dumps(said)


def test_pictures_tell_no_shape(tmp_path: Path) -> None:
    model = network()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    folder = write(tmp_path / "setting", model)
    for file in (folder / "data").iterdir():
        file.rename(file.with_suffix(".png"))
    assert_refused(build(folder, tmp_path / "x"), 2, "input 'x' declares no shape")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_behind_a_foreign_operator(precision: str, tmp_path: Path) -> None:
    model = network()
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[1].CopyFrom(helper.make_node("Gelu", ["c"], ["r"], domain="com.microsoft"))
    folder = write(tmp_path / "setting", model, f'[split]\nat = "c"\n[weights]\nprecision = "{precision}"\n')
    assert_built(folder, tmp_path / "x")


@pytest.mark.parametrize(("name", "shape"), [("r", ["N", 8, 9, 9]), ("f", ["N", 8, 1]), ("y", ["N", 7])])
def test_a_declared_shape_that_is_wrong_gives_way(name: str, shape: list[int | str], tmp_path: Path) -> None:
    model = network()
    model.graph.value_info.append(helper.make_tensor_value_info(name, FLOAT, shape))
    if name == "y":
        model.graph.value_info.pop()
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, shape))
    folder = write(tmp_path / "setting", model, f'[split]\nat = "{"f" if name == "y" else name}"\n')
    assert_built(folder, tmp_path / "x")
