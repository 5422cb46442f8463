"""Simplify removes everything that an engine does not need and not one bit of an output."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx.parser
import onnx_ir as ir
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "graph"))
from graph_halves import LIGHT, assert_same_bits, model_file, parse, random_feeds, run

from splitc import graph
from splitc.evaluate import open_graph
from splitc.passes.base import PassResult
from splitc.passes.simplify import Simplify

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
CASES = [
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ k = Constant<value = float[1] {{2}}>()  y = Add(x, k) }}",
        ["Add"],
        "lifted 1 constants to initializers",
        id="constant",
    ),
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ k = Constant<value_floats=[2.0]>()  y = Mul(x, k) }}",
        ["Mul"],
        "lifted 1 constants to initializers",
        id="constant-of-floats",
    ),
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ a = Identity(x)  b = Relu(a)  y = Identity(b) }}",
        ["Relu"],
        "removed 2 Identity and Dropout nodes",
        id="identity",
    ),
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) {{ a = Dropout(x)  y = Relu(a) }}",
        ["Relu"],
        "removed 1 Identity and Dropout nodes",
        id="dropout",
    ),
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y, bool[N,4] m) {{ a, m = Dropout(x)  y = Relu(a) }}",
        ["Dropout", "Relu"],
        "",
        id="dropout-with-a-used-mask",
    ),
    pytest.param(
        f"{HEADER} g (float[N,4] x) => (float[N,4] y) <float[4] w = {{1,2,3,4}}> {{ d = Mul(x, w)  y = Relu(x) }}",
        ["Relu"],
        "removed 3 unused nodes, outputs, initializers and operator sets",
        id="unused",
    ),
    pytest.param(
        f"""{HEADER} g (float[N,4] x) => (float[N,4] y) <float[4] w = {{1,2,3,4}}, float[4] v = {{1,2,3,4}}> {{
            a = Mul(x, w)  y = Add(a, v) }}""",
        ["Mul", "Add"],
        "merged 1 equal initializers",
        id="equal-initializers",
    ),
    pytest.param(
        """<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[N,4] x) => (float[N,4] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 17]> f (v) => (w) { t = Relu(v)  w = Exp(t) }""",
        ["Relu", "Exp"],
        "inlined 1 local functions",
        id="function",
    ),
]


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def simplified(text: str) -> tuple[ir.Model, PassResult]:
    whole = ir.from_proto(onnx.parser.parse_model(text))
    return whole, Simplify()(whole)


@pytest.mark.parametrize(("text", "expected", "note"), CASES)
def test_each_rule(text: str, expected: list[str], note: str) -> None:
    whole, result = simplified(text)
    assert operators(result.model) == expected
    assert note in [*result.notes, ""]
    feeds = random_feeds(parse(text))
    assert_same_bits(run(result.model, feeds), run(whole, feeds), "simplified")


@pytest.mark.parametrize(("text", "expected", "note"), CASES)
def test_a_second_time_changes_nothing(text: str, expected: list[str], note: str) -> None:
    _, once = simplified(text)
    twice = Simplify()(once.model)
    assert (twice.changed, twice.notes) == (False, ())
    assert graph.to_bytes(twice.model) == graph.to_bytes(once.model)


def test_the_model_passed_in_is_unchanged() -> None:
    whole, result = simplified(CASES[2].values[0])  # type: ignore[arg-type]
    assert operators(whole) == ["Identity", "Relu", "Identity"]
    assert result.model is not whole


def test_omitted_outputs_stay_omitted() -> None:
    _, result = simplified(f"""{HEADER} g (float[3,2,5] x, float[1,16,5] w, float[1,16,4] r) => (float[1,2,4] y) {{
        "", y = LSTM<hidden_size=4>(x, w, r) }}""")
    assert [value.name for value in result.model.graph.node(0).outputs] == ["", "y"]


def test_comments_and_source_paths_go() -> None:
    model = parse(CASES[2].values[0]).ir_model  # type: ignore[arg-type]
    model.doc_string = "made on /home/someone"
    node = next(iter(model.graph))
    node.metadata_props["pkg.torch.onnx.stack_trace"] = "/home/someone/net.py"
    node.outputs[0].metadata_props["path"] = "/home/someone"
    model.graph.inputs[0].doc_string = "/home/someone"
    result = Simplify()(model)
    assert b"/home" not in graph.to_bytes(result.model)
    assert "removed comments and metadata" in result.notes


def test_unnamed_nodes_are_named_by_operator_and_order() -> None:
    _, result = simplified(f"{HEADER} g (float[N] x) => (float[N] y) {{ a = Relu(x)  b = Relu(a)  y = Neg(b) }}")
    assert [node.name for node in result.model.graph] == ["Relu", "Relu_1", "Neg"]


@pytest.mark.parametrize(
    "name", ["mobilenet_v2_imagenet", "resnet20_cifar10", "ultraface-rfb-320", "yolo_fastest_1.1_xl_coco"]
)
def test_real_models_compute_the_same_bits(name: str) -> None:
    model = graph.load(model_file(f"{name}.onnx"))
    result = Simplify()(model.ir_model)
    feeds = random_feeds(model, batch=1)
    assert_same_bits(run(result.model, feeds), run(model.ir_model, feeds), name)
    assert "Constant" not in operators(result.model)


def test_light_squeezenet_loses_its_dropout() -> None:
    model = graph.load(next(path for path in LIGHT if "squeezenet" in path))
    result = Simplify()(model.ir_model)
    assert "Dropout" not in operators(result.model)
    feeds = random_feeds(model)
    assert_same_bits(run(result.model, feeds), run(model.ir_model, feeds), "squeezenet")


@pytest.mark.parametrize("operator", ["Identity", "Dropout"])
def test_a_branch_may_return_an_outer_value(operator: str) -> None:
    """Exporters write an If so where one branch does nothing; the outer value keeps its name, and may be an answer."""
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[4] x, bool c) => (float[4] r, float[4] z) {{
        r = Relu(x)
        z = If (c) <then_branch = t () => (float[4] o) {{ o = {operator}(r) }},
                    else_branch = e () => (float[4] q) {{ q = Neg(r) }}> }}"""
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))).ir_model
    simple = Simplify()(model).model
    assert [value.name for value in simple.graph.outputs] == ["r", "z"]
    for taken in (True, False):
        feeds = {"x": np.array([-1, 2, 0, 3], np.float32), "c": np.array(taken)}
        for name, array in open_graph(model).run(feeds).items():
            np.testing.assert_array_equal(open_graph(simple).run(feeds)[name], array)
