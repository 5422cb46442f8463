"""Cuts of several tensors: the cheapest through each value, equal to brute force over all boundaries; linear time."""

from __future__ import annotations

import random

import onnx_ir as ir
import pytest
from graph_halves import assert_cut_holds, every_wide_cut, parse, random_feeds, run
from onnx import TensorProto, helper

from splitc import graph
from splitc.errors import CutError
from splitc.graph import Model

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
WAISTS = f"""{HEADER} g (float[N,8] x) => (float[N,8] y) <float[8,2] d = {{{", ".join(["1"] * 16)}}},
    float[2,8] u = {{{", ".join(["1"] * 16)}}}> {{
    a = Relu(x)
    p0 = MatMul(a, d)  p1 = Tanh(p0)  p2 = MatMul(p1, u)
    q0 = Neg(a)  q1 = MatMul(q0, d)  q2 = MatMul(q1, u)
    y0 = Add(p2, q2)  y = Exp(y0) }}"""


def names_of(model: Model) -> set[frozenset[str]]:
    return {frozenset(cut.names) for cut in graph.enumerate_cuts(model, 8).candidates if len(cut.names) > 1}


def test_branches_are_cut_at_their_waists() -> None:
    found = names_of(parse(WAISTS))
    assert frozenset({"p0", "q1"}) in found
    assert all(names & {"p0", "p1", "p2"} and names & {"q0", "q1", "q2"} for names in found)


STATEFUL = f"""{HEADER} g (float[N,4] x, float[N,4] state) => (float[N,1] y, float[N,1] next) {{
    a = Add(x, state)  y = ReduceMax<axes=[1]>(a)  b = Mul(x, state)  next = ReduceMin<axes=[1]>(b) }}"""


def test_a_cut_of_all_outputs_is_rejected_with_its_reason() -> None:
    """It is the cheapest of all, and its tail would be empty."""
    model = parse(STATEFUL)
    listed = graph.enumerate_cuts(model, 4)
    assert listed.candidates
    for cut in listed.candidates:
        graph.check_cut(model, cut.names)
    reasons = {frozenset(cut.names): cut.reason for cut in listed.rejected}
    assert reasons[frozenset(["y", "next"])] == "these are all outputs of the model, so the tail would be empty"


def random_model(seed: int) -> Model:
    """A random DAG whose values have different widths, so that places differ in cost."""
    rng = random.Random(seed)
    nodes, widths = [], {"x": 4}
    weights = []
    for index in range(rng.randint(4, 9)):
        one = rng.choice(list(widths)[-3:])
        width = rng.choice((1, 2, 4, 8))
        name, weight = f"v{index}", f"w{index}"
        weights.append(helper.make_tensor(weight, TensorProto.FLOAT, [widths[one], width], [1.0] * widths[one] * width))
        nodes.append(helper.make_node("MatMul", [one, weight], [name]))
        widths[name] = width
        if rng.random() < 0.5:
            other = rng.choice(list(widths)[-4:])
            nodes.append(helper.make_node("Concat", [name, other], [f"{name}c"], axis=1))
            widths[f"{name}c"] = width + widths[other]
    last = list(widths)[-1]
    nodes.append(
        helper.make_node("Concat", [last, *(n for n in widths if not any(n in m.input for m in nodes))], ["y"], axis=1)
    )
    ends = [helper.make_tensor_value_info("x", 1, ["N", 4]), helper.make_tensor_value_info("y", 1, ["N", "K"])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    proto = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return graph.model_from_ir(ir.from_proto(proto))


@pytest.mark.parametrize("seed", range(25))
def test_the_cheapest_cut_through_each_value_is_found(seed: int) -> None:
    """Among all minimal wide cuts with nothing that the value depends on, found by growing boundaries node by node."""
    model = random_model(seed)
    listed = {cut.names: cut.wire_bytes for cut in graph.enumerate_cuts(model, 16).candidates}
    single = {"x", *(names[0] for names in listed if len(names) == 1)}
    minimal = [names for names in every_wide_cut(model) if not single & set(names) and is_minimal(model, names)]
    for value in {name for names in minimal for name in names}:
        before = depends_on(model, value)
        able = [names for names in minimal if value in names and before.isdisjoint(names)]
        best = min((graph.price_cut(model, names).wire_bytes for names in able), default=None)
        ours = [price for names, price in listed.items() if value in names]
        assert best is None or min(ours) <= best, value
    assert {frozenset(names) for names in listed if len(names) > 1} <= set(map(frozenset, minimal))


def depends_on(model: Model, name: str) -> set[str]:
    """Names of what a value is computed from."""
    found: set[str] = set()
    pending = [model.flow.values[name]]
    while pending:
        node = pending.pop().producer()
        new = [] if node is None else [value for value in node.inputs if value is not None and value.name not in found]
        found |= {value.name or "" for value in new}
        pending += new
    return found


def is_minimal(model: Model, names: tuple[str, ...]) -> bool:
    """Whether the cut ends to be one when any member is left out."""
    for name in names:
        try:
            graph.check_cut(model, [other for other in names if other != name])
        except CutError:
            continue
        return False
    return True


@pytest.mark.parametrize("seed", range(0, 25, 3))
def test_wide_cuts_hold_and_cost_what_is_said(seed: int) -> None:
    model = random_model(seed)
    feeds = random_feeds(model)
    expected = run(model.ir_model, feeds)
    for cut in graph.enumerate_cuts(model, 16).candidates:
        assert_cut_holds(model, cut.names, feeds, expected)
        priced = graph.price_cut(model, cut.names)
        assert (priced.head_flops, priced.tail_flops) == (cut.head_flops, cut.tail_flops), cut.names
        assert (priced.head_parameters, priced.tail_parameters) == (cut.head_parameters, cut.tail_parameters)
