"""Small graphs of every shape: which cuts they have, and that each one holds bit for bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from graph_halves import assert_cut_holds, assert_same_bits, parse, random_feeds, run

from splitc import graph
from splitc.errors import CutError, GraphError

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'

CHAIN = "g (float[N,4] x) => (float[N,4] y) { a = Relu(x)  b = Neg(a)  y = Tanh(b) }"
RESIDUAL = """g (float[N,4] x) => (float[N,4] y) {
    a = Relu(x)  b = Tanh(a)  c = Add(a, b)  d = Neg(c)  y = Add(c, d) }"""
INCEPTION = """g (float[N,4] x) => (float[N,K] y) {
    a = Relu(x)  p = Tanh(a)  q = Neg(a)  r = Abs(a)  y0 = Concat<axis=1>(p, q, r)  y = Exp(y0) }"""
TWO_INPUTS = "g (float[N,4] x, float[N,4] u) => (float[N,4] y) { a = Relu(x)  b = Add(a, u)  c = Neg(b)  y = Tanh(c) }"
TWO_OUTPUTS = "g (float[N,4] x) => (float[N,4] y, float[N,4] z) { a = Relu(x)  y = Neg(a)  b = Tanh(a)  z = Abs(b) }"
EARLY_OUTPUT = "g (float[N,4] x) => (float[N,4] a, float[N,4] y) { a = Relu(x)  b = Tanh(a)  y = Abs(b) }"
CAPTURING_IF = """g (float[N,4] x, bool c) => (float[N,4] y) {
    a = Relu(x)  b = Neg(a)
    z = If (c) <then_branch = t () => (float[N,4] p) { p = Add(a, b) },
                else_branch = e () => (float[N,4] q) { q = Mul(b, b) }>
    y = Tanh(z) }"""
INT64_CROSSING = """g (float[N,4] x) => (float[N,4] y) {
    a = Relu(x)  i = ArgMax<axis=1, keepdims=1>(a)  b = Tanh(a)  y = GatherElements<axis=1>(b, j)  j = Identity(i) }"""
SHAPE_OF_HEAD = """g (float[N,2,3] x) => (float[N,6] y) <int64[1] zero = {0}, int64[1] rest = {-1}> {
    s = Shape(x)  n = Gather(s, zero)  a = Relu(x)  b = Tanh(a)
    target = Concat<axis=0>(n, rest)  c = Neg(b)  y = Reshape(c, target) }"""
STATIC_SHAPE_OF_HEAD = SHAPE_OF_HEAD.replace("N,", "5,")
SHAPE_IS_AN_OUTPUT = "g (float[N,4] x) => (float[N,4] y, int64[2] s) { a = Relu(x)  s = Shape(x)  y = Neg(a) }"
QDQ = """g (float[N,4] x) => (float[N,4] y) <float s = {0.05}, int8 z = {3}> {
    a = Relu(x)  q = QuantizeLinear(a, s, z)  d = DequantizeLinear(q, s, z)  b = Neg(d)  y = Tanh(b) }"""
CONSTANTS = """g (float[N,4] x) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}> {
    k = Constant<value = float[4] {4, 3, 2, 1}>()  e = Exp(w)  a = Mul(x, e)  b = Add(a, k)  c = Mul(b, e)
    y = Add(c, k) }"""
SPLIT_NODE = (
    "g (float[N,4] x) => (float[N,4] y) { a = Relu(x)  p, q = Split<axis=1>(a)  r = Neg(p)  y = Concat<axis=1>(r, q) }"
)
DEAD_BRANCH = "g (float[N,4] x) => (float[N,4] y) { a = Relu(x)  dead = Neg(x)  deader = Abs(dead)  y = Tanh(a) }"

CASES = [
    pytest.param(CHAIN, [("a",), ("b",)], id="chain"),
    pytest.param(RESIDUAL, [("a",), ("c",)], id="residual"),
    pytest.param(INCEPTION, [("a",), ("p", "q", "r"), ("y0",)], id="inception"),
    pytest.param(TWO_INPUTS, [("a", "u"), ("b",), ("c",)], id="two-inputs"),
    pytest.param(TWO_OUTPUTS, [("a",), ("y", "b")], id="two-outputs"),
    pytest.param(EARLY_OUTPUT, [("a",)], id="output-before-the-end"),
    pytest.param(CAPTURING_IF, [("z",)], id="if-with-captures"),
    pytest.param(INT64_CROSSING, [("a",)], id="int64-crosses"),
    pytest.param(SHAPE_OF_HEAD, [("a",), ("b",), ("c",)], id="shape-of-a-head-value"),
    pytest.param(STATIC_SHAPE_OF_HEAD, [("a",), ("b",), ("c",)], id="static-shape-of-a-head-value"),
    pytest.param(SHAPE_IS_AN_OUTPUT, [("a",), ("y",)], id="shape-is-an-output"),
    pytest.param(QDQ, [("a",), ("d",), ("b",)], id="quantize-dequantize"),
    pytest.param(CONSTANTS, [("a",), ("b",), ("c",)], id="constants-of-both-halves"),
    pytest.param(SPLIT_NODE, [("a",), ("p", "q"), ("q", "r")], id="node-with-two-outputs"),
    pytest.param(DEAD_BRANCH, [("a",)], id="dead-branch"),
]


@pytest.mark.parametrize(("text", "cuts"), CASES)
def test_the_cuts_of_a_graph_are_exactly_these(text: str, cuts: list[tuple[str, ...]]) -> None:
    found = graph.enumerate_cuts(parse(f"{HEADER} {text}")).candidates
    assert sorted(tuple(sorted(cut.names)) for cut in found) == sorted(tuple(sorted(cut)) for cut in cuts)


@pytest.mark.parametrize(("text", "cuts"), CASES)
def test_every_listed_cut_splits_and_merges_back(text: str, cuts: list[tuple[str, ...]]) -> None:
    model = parse(f"{HEADER} {text}")
    for batch in (1, 3):
        feeds = random_feeds(model, batch=batch)
        expected = run(model.ir_model, feeds)
        for cut in cuts:
            assert_cut_holds(model, cut, feeds, expected)


@pytest.mark.parametrize("at", [("i",), ("i", "b"), ("q",), ("a", "b"), ("a", "c"), ("b", "a", "c")])
def test_integer_and_generous_cuts_split_although_no_codec_takes_them(at: tuple[str, ...]) -> None:
    text = {("q",): QDQ, ("a", "b"): RESIDUAL, ("a", "c"): CAPTURING_IF, ("b", "a", "c"): CAPTURING_IF}.get(
        at, INT64_CROSSING
    )
    model = parse(f"{HEADER} {text}")
    feeds = random_feeds(model)
    if at == ("i",):
        with pytest.raises(CutError, match="around it: x -> a -> b -> y"):
            graph.check_cut(model, at)
        return
    assert_cut_holds(model, at, feeds, run(model.ir_model, feeds))


def test_order_of_the_cut_is_kept() -> None:
    model = parse(f"{HEADER} {INCEPTION}")
    halves = graph.split(model, ["r", "p", "q"])
    assert [value.name for value in halves.head.graph.outputs] == ["r", "p", "q"]
    assert [value.name for value in halves.tail.graph.inputs] == ["r", "p", "q"]


def test_dynamic_batch_stays_symbolic_in_both_halves() -> None:
    halves = graph.split(parse(f"{HEADER} {CHAIN}"), ["a"])
    for value in (*halves.head.graph.outputs, *halves.tail.graph.inputs, *halves.tail.graph.outputs):
        assert str(value.shape) == "[N,4]"
    assert halves.cut[0].shape == ("N", 4)


def test_constants_of_both_halves_are_counted() -> None:
    halves = graph.split(parse(f"{HEADER} {CONSTANTS}"), ["b"])
    assert halves.duplicated_bytes == 2 * 4 * 4, "w (Exp is repeated) and k"
    assert graph.split(parse(f"{HEADER} {CHAIN}"), ["a"]).duplicated_bytes == 0


def test_a_head_shape_is_rebuilt_from_the_cut_tensor() -> None:
    model = parse(f"{HEADER} {SHAPE_OF_HEAD}")
    assert graph.check_cut(model, ["b"]).recomputed == ("s",)
    tail = graph.split(model, ["b"]).tail
    assert [value.name for value in tail.graph.inputs] == ["b"]
    assert sum(node.op_type == "Shape" for node in tail.graph) == 1


def test_a_shape_whose_dimension_is_nowhere_in_the_cut_is_refused() -> None:
    model = parse(f"""{HEADER} g (float[N,2] x, float[2,2] u) => (float[N,2] y) {{
        s = Shape(x)  r = ReduceSum<keepdims=0>(x)  a = Mul(u, r)  b = ReduceSum<keepdims=1>(a)  y = Expand(b, s) }}""")
    with pytest.raises(CutError, match="cut \\[b\\]: data reaches output 'y' around it: x -> s -> y"):
        graph.check_cut(model, ["b"])
    reasons = {cut.names: cut.reason for cut in graph.enumerate_cuts(model).rejected}
    assert "dynamic dimension 'N'" in reasons[("b",)]


def test_random_numbers_are_not_drawn_twice() -> None:
    model = parse(f"""{HEADER} g (float[2,2] x) => (float[2,2] y) {{
        r = RandomNormal<shape=[2,2]>()  a = Add(x, r)  b = Neg(a)  y = Mul(b, r) }}""")
    with pytest.raises(CutError, match="r -> y"):
        graph.check_cut(model, ["b"])
    assert graph.check_cut(model, ["b", "r"]).names == ("b", "r")


def test_local_functions_are_inlined() -> None:
    model = parse("""<ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (float[N,4] x) => (float[N,4] y) { a = local.f(x)  b = Neg(a)  y = local.f(b) }
        <domain: "local", opset_import: ["" : 17]> f (v) => (w) { t = Relu(v)  w = Exp(t) }""")
    assert not model.ir_model.functions
    feeds = random_feeds(model)
    expected = run(model.ir_model, feeds)
    cuts = graph.enumerate_cuts(model).candidates
    assert len(cuts) == 4
    for cut in cuts:
        assert_cut_holds(model, cut.names, feeds, expected)


def test_loop_stays_whole() -> None:
    model = parse(f"""{HEADER} g (float[2] x) => (float[2] y) <int64 three = {{3}}, bool go = {{1}}> {{
        a = Relu(x)  b = Exp(a)
        c = Loop(three, go, b) <body = l (int64 i, bool k, float[2] v) => (bool k2, float[2] v2) {{
            k2 = Identity(k)  v2 = Add(v, a) }}>
        y = Neg(c) }}""")
    feeds = random_feeds(model)
    found = graph.enumerate_cuts(model)
    assert [cut.names for cut in found.candidates] == [("a",)]
    reasons = {cut.names: cut.reason for cut in found.rejected}
    assert reasons[("c",)] == "value 'c' has unknown shape", "what a loop carries may change its shape"
    assert reasons[("v2",)] == "inside a subgraph (If, Loop or Scan), which is never cut"
    for names in (("a",), ("a", "b")):
        assert_cut_holds(model, names, feeds, run(model.ir_model, feeds))


def test_scan_stays_whole_with_what_it_captures() -> None:
    model = parse(f"""{HEADER} g (float[4,2] x) => (float[4,2] y) <int64[1] axes = {{0}}> {{
        a = Relu(x)  b = Neg(a)  s = ReduceSum<keepdims=0>(b, axes)  m = ReduceMax<axes=[0], keepdims=0>(b)
        end, c = Scan<num_scan_inputs=1, body = l (float[2] state, float[2] v) => (float[2] state2, float[2] o) {{
            state2 = Add(state, v)  t = Mul(state2, v)  o = Add(t, m) }}>(s, b)
        y = Tanh(c) }}""")
    feeds = random_feeds(model)
    for names in (("a",), ("b",), ("b", "m"), ("s", "m", "b"), ("c",)):
        assert_cut_holds(model, names, feeds, run(model.ir_model, feeds))
    with pytest.raises(CutError, match="data reaches output 'y' around it: x -> a -> b -> "):
        graph.check_cut(model, ["s"])


@pytest.mark.parametrize("shape", ["N,3", "2,3"])
def test_a_size_is_recomputed_like_a_shape(shape: str) -> None:
    model = parse(f"""{HEADER} g (float[{shape}] x) => (float[{shape}] y) {{
        n = Size(x)  f = Cast<to=1>(n)  a = Relu(x)  b = Tanh(a)  y = Mul(b, f) }}""")
    assert graph.check_cut(model, ["b"]).recomputed == ("n",)
    feeds = random_feeds(model, batch=5 if "N" in shape else 2)
    assert_cut_holds(model, ("b",), feeds, run(model.ir_model, feeds))


def test_the_shape_of_a_scalar_is_recomputed() -> None:
    model = parse(f"""{HEADER} g (float[N,3] x) => (float[N,3] y, int64[0] s) {{
        r = ReduceMax<keepdims=0>(x)  s = Shape(r)  a = Relu(x)  b = Tanh(a)  y = Neg(b) }}""")
    feeds = random_feeds(model)
    assert_cut_holds(model, ("b",), feeds, run(model.ir_model, feeds))


def test_outputs_may_be_inputs_constants_and_initializers() -> None:
    model = parse(f"""{HEADER} g (float[N,4] x, float[N,4] u) => (float[N,4] y, float[4] k, float[4] w, float[N,4] u)
        <float[4] w = {{1, 2, 3, 4}}> {{ a = Relu(x)  k = Exp(w)  y = Mul(a, w) }}""")
    feeds = random_feeds(model)
    assert_cut_holds(model, ("a", "u"), feeds, run(model.ir_model, feeds))


def test_an_output_that_is_listed_twice_is_one_of_the_tail() -> None:
    proto = onnx.parser.parse_model(f"{HEADER} {CHAIN}")
    proto.graph.output.append(proto.graph.output[0])
    halves = graph.split(graph.model_from_ir(ir.from_proto(proto)), ["a"])
    assert [value.name for value in halves.tail.graph.outputs] == ["y"]


def test_a_model_may_be_split_again() -> None:
    model = parse(f"{HEADER} {INCEPTION}")
    feeds = random_feeds(model)
    first = graph.split(model, ["a"])
    second = graph.split(graph.model_from_ir(first.tail), ["q", "p", "r"])
    feature = run(second.head, run(first.head, feeds))
    assert_same_bits(run(second.tail, feature), run(model.ir_model, feeds), "three parts")


def test_split_leaves_the_model_alone_and_strips_source_paths() -> None:
    model = parse(f"{HEADER} {CHAIN}")
    node = model.flow.nodes[0]
    node.doc_string, node.metadata_props["trace"] = "/home/someone/net.py", "/home/someone/net.py"
    halves = graph.split(model, ["b"])
    assert b"/home" not in graph.to_bytes(halves.head)
    assert node.doc_string == "/home/someone/net.py"
    assert len(model.flow.nodes) == 3


def test_equality_is_proven_without_running() -> None:
    model = parse(f"{HEADER} {CONSTANTS}")
    halves = graph.split(model, ["b"])
    assert graph.is_same_computation(model.ir_model, graph.merge(halves.head, halves.tail))
    renamed = parse(f"{HEADER} {CONSTANTS}".replace("b", "bb").replace(" e ", " ee ").replace("e)", "ee)"))
    assert graph.is_same_computation(model.ir_model, renamed.ir_model)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("{1, 2, 3, 4}", "{1, 2, 3, 5}", id="weight"),
        pytest.param("Exp(w)", "Log(w)", id="operator"),
        pytest.param("Add(c, k)", "Add(k, c)", id="order-of-inputs"),
        pytest.param("{4, 3, 2, 1}", "{4, 3, 2, 2}", id="attribute"),
        pytest.param("17", "16", id="opset"),
    ],
)
def test_another_computation_is_not_proven_equal(old: str, new: str) -> None:
    text = f"{HEADER} {CONSTANTS}"
    assert old in text
    assert not graph.is_same_computation(parse(text).ir_model, parse(text.replace(old, new)).ir_model)


def test_a_model_describes_itself() -> None:
    model = parse(f"{HEADER} {CONSTANTS}")
    assert [spec.name for spec in model.inputs] == ["x"]
    assert [spec.shape for spec in model.outputs] == [("N", 4)]
    assert [spec.name for spec in model.values] == ["x", "a", "b", "c", "y"]
    assert (model.nodes, model.parameters, model.sha256) == (6, 4, "")


def test_merge_renames_what_collides() -> None:
    head = parse(
        f"{HEADER} g (float[2] x) => (float[2] f) <float[1] w = {{2}}> {{ t = Mul(x, w)  f = Neg(t) }}"
    ).ir_model
    tail = parse(
        f"{HEADER} g (float[2] f) => (float[2] y) <float[1] w = {{3}}> {{ t = Mul(f, w)  y = Exp(t) }}"
    ).ir_model
    feeds = {"x": np.array([1, 2], np.float32)}
    assert_same_bits(run(graph.merge(head, tail), feeds), run(tail, run(head, feeds)), "merge")


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        pytest.param(
            f"{HEADER} g (float[2] other) => (float[2] y) {{ y = Exp(other) }}", "needs ['other']", id="foreign"
        ),
        pytest.param(
            '<ir_version: 8, opset_import: ["" : 13]> g (float[2] f) => (float[2] y) { y = Exp(f) }',
            "opset 17 and the tail 13",
            id="opset",
        ),
        pytest.param(f"{HEADER} g (float[2] f) => (float[2] x) {{ x = Exp(f) }}", "rename one", id="output-is-input"),
    ],
)
def test_merge_refuses_halves_of_different_splits(tail: str, message: str) -> None:
    head = parse(f"{HEADER} g (float[2] x) => (float[2] f) {{ f = Neg(x) }}")
    with pytest.raises(GraphError) as caught:
        graph.merge(head.ir_model, parse(tail).ir_model)
    assert message in str(caught.value)
