"""Models of old opsets get one that the codec can join, and answer as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from splitc import graph
from splitc.errors import GraphError
from splitc.evaluate import open_graph
from splitc.passes import RaiseOpset, Simplify, prepare

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_opset_9_networks_answer_bit_for_bit_as_before(name: str) -> None:
    model = graph.load(LIGHT / f"light_{name}.onnx")
    result = RaiseOpset()(Simplify()(model.ir_model).model)
    assert result.notes == ("converted from opset 9 to 13",)
    (spec,) = model.inputs
    feeds = {spec.name: np.random.default_rng(0).normal(size=spec.shape).astype(np.float32)}
    before, after = open_graph(model.ir_model).run(feeds), open_graph(result.model).run(feeds)
    assert before.keys() == after.keys()
    for output, array in before.items():
        np.testing.assert_array_equal(after[output], array)


def test_a_newer_model_passes_as_it_is() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Abs(x) }'
    model = ir.from_proto(onnx.parser.parse_model(text))
    result = RaiseOpset()(model)
    assert result.model is model
    assert not result.changed


def test_what_the_converter_cannot_do_is_refused() -> None:
    text = '<ir_version: 8, opset_import: ["" : 9, "my.domain" : 1]> g (float[2] x) => (float[2] y) { y = Nonsense(x) }'
    model = ir.from_proto(onnx.parser.parse_model(text))
    with pytest.raises(GraphError, match=r"imports opset 9, the codec needs 13, and converting it failed"):
        RaiseOpset()(model)


BODIES = [
    pytest.param(7, "o = Clip<min = 0.0, max = 0.5>(r)", id="limits-as-attributes"),
    pytest.param(9, "o = Softmax<axis = 1>(r)", id="softmax-over-a-flattened-rest"),
    pytest.param(11, "u = Unsqueeze<axes = [0]>(r) o = Squeeze<axes = [0]>(u)", id="axes-as-attributes"),
    pytest.param(9, "p = Pad<pads = [0, 1, 0, 1]>(r) o = Slice<axes = [1], starts = [1], ends = [-1]>(p)", id="pad"),
    pytest.param(11, "a, b = Split<axis = 1, split = [1, 3]>(r) o = Concat<axis = 1>(b, a)", id="split"),
    pytest.param(12, "s = ReduceSum<axes = [1]>(r) o = Add(r, s)", id="reduction"),
    pytest.param(9, "o = Dropout(r)", id="a-branch-that-returns-an-outer-value"),
]


@pytest.mark.parametrize(("opset", "body"), BODIES)
def test_both_branches_answer_bit_for_bit_as_before(opset: int, body: str) -> None:
    text = f"""<ir_version: 4, opset_import: ["" : {opset}]> g (float[4, 4] x, bool c) => (float[4, 4] y) {{
        r = Relu(x)
        z = If (c) <then_branch = t () => (float[4, 4] o) {{ {body} }},
                    else_branch = e () => (float[4, 4] q) {{ q = Mul(r, r) }}>
        y = Exp(z) }}"""
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text))).ir_model
    raised = prepare(model, in_graph=True).model
    assert raised.opset_imports[""] == 13
    x = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    for taken in (True, False):
        feeds = {"x": x, "c": np.array(taken)}
        np.testing.assert_array_equal(open_graph(raised).run(feeds)["y"], open_graph(model).run(feeds)["y"])


UPSAMPLED = [
    pytest.param(7, 'u = Upsample <mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]>(x) y = Neg(u)', id="scales-given"),
    pytest.param(9, 'u = Upsample <mode = "nearest">(x, s) y = Neg(u)', id="scales-read"),
    pytest.param(9, 'u = Upsample(x, s) v = Upsample <mode = "linear">(u, s) y = Neg(v)', id="twice"),
    pytest.param(10, "u = Resize(x, s) y = Neg(u)", id="resize"),
    pytest.param(
        9,
        "c = Constant <value = bool {1}>() y = If (c) <then_branch = t () => (float[1, 1, P, Q] a) "
        "{ u = Upsample(x, s) a = Neg(u) }, else_branch = e () => (float[1, 1, R, S] b) { b = Upsample(x, s) }>",
        id="in-a-branch",
    ),
]


@pytest.mark.parametrize(("opset", "text"), UPSAMPLED)
def test_what_is_made_larger_keeps_its_name(opset: int, text: str) -> None:
    text = f"""<ir_version: 4, opset_import: ["" : {opset}]> g (float[1, 1, 2, 2] x) => (float[1, 1, A, B] y)
        <float[4] s = {{1, 1, 2, 2}}> {{ {text} }}"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    raised = RaiseOpset()(model).model
    names = [
        {value.name for body in one.graphs() for node in body for value in node.outputs} for one in (model, raised)
    ]
    assert names[0] <= names[1]
    feeds = {"x": np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)}
    np.testing.assert_array_equal(open_graph(raised).run(feeds)["y"], open_graph(model).run(feeds)["y"])
