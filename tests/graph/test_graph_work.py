"""What each node asks of a processor: fused groups, kinds, and how many activations live at one time."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx import parser

from splitc.graph import Model, activation_peaks, cut_sides, cuts_of_every_order, model_from_ir, outline, work_of

BLOCK = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,4,8,8] x) => (float[N,4] y) <float[4,4,3,3] w1, float[4,1,3,3] w2, float[4,4,1,1] w3> {
  a = Conv<pads = [1,1,1,1]>(x, w1)
  b = Relu(a)
  c = Conv<pads = [1,1,1,1], group = 4>(b, w2)
  d = Conv(c, w3)
  e = Add(d, b)
  f = GlobalAveragePool(e)
  y = Flatten(f)
}"""


def model_of(text: str) -> Model:
    proto = parser.parse_model(text)
    for info in proto.graph.value_info:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        proto.graph.initializer.add(name=info.name, data_type=1, dims=dims, raw_data=bytes(4 * math.prod(dims)))
    del proto.graph.value_info[:]
    return model_from_ir(ir.from_proto(proto))


def test_kinds_and_groups() -> None:
    work = work_of(model_of(BLOCK))
    kinds = ["conv", "none", "conv-depthwise", "conv-pointwise", "none", "pool", "none"]
    assert [one.kind for one in work] == kinds
    assert [one.leader for one in work] == [0, 0, 2, 3, 3, 5, 6]
    assert [one.value for one in work] == ["a", "b", "c", "d", "e", "f", "y"]


def test_a_leader_carries_its_group() -> None:
    relu, block = work_of(model_of(BLOCK))[0], work_of(model_of(BLOCK))[3]
    assert (relu.flops, relu.weights, relu.moved) == (2 * 256 * 36 + 256, 144, 512)
    assert (block.flops, block.weights, block.moved) == (2 * 256 * 4 + 256, 16, 3 * 256)  # the residual is read too


def test_a_value_read_twice_ends_its_group() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,4,8,8] x) => (float[N,4,8,8] y) <float[4,4,1,1] w> { a = Conv(x, w)  b = Relu(a)  y = Add(a, b) }"""
    assert [one.leader for one in work_of(model_of(text))] == [0, 1, 2]


def test_activations_alive_at_one_time() -> None:
    """x 256; a beside x; b beside a; c beside b; d beside b and c; e beside b and d; f 4 beside e; y beside f."""
    assert activation_peaks(model_of(BLOCK)) == [512, 512, 512, 768, 768, 768, 768]


def test_sides_are_positions() -> None:
    assert cut_sides(model_of(BLOCK), ["b"]) == (frozenset({0, 1}), frozenset({2, 3, 4, 5, 6}))
    assert cut_sides(model_of(BLOCK), ["c", "b"]) == (frozenset({0, 1, 2}), frozenset({3, 4, 5, 6}))


def test_an_outline_ends_a_block_at_the_cut() -> None:
    found = outline(model_of(BLOCK), ["e"], most_blocks=2)
    assert [(block.name, block.is_head) for block in found.blocks] == [("e", True), ("y", False)]
    assert found.blocks[0].operators == (("Conv", 3), ("Add", 1), ("Relu", 1))
    assert sum(block.nodes for block in found.blocks) == 7
    ends = [(edge.source, edge.target, edge.values, edge.wire_bytes) for edge in found.edges]
    assert ends == [(-1, 0, ("x",), 1024), (0, 1, ("e",), 1024), (1, 2, ("y",), 16)]


def test_an_outline_of_several_tensors_has_no_way_back() -> None:
    """The cut lies beside the residual: both tensors cross one border, and every edge goes forward."""
    found = outline(model_of(BLOCK), ["d", "b"], most_blocks=8)
    heads = sum(block.is_head for block in found.blocks)
    assert all(edge.source < edge.target for edge in found.edges)
    crossing = {name for edge in found.edges if edge.source < heads <= edge.target for name in edge.values}
    assert crossing == {"b", "d"}


def test_cuts_beside_a_branch_are_found_in_every_order() -> None:
    """Two branches of two nodes: any place of one with any place of the other."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,4] x) => (float[1,4] y) { s = Neg(x) a = Relu(s) b = Abs(a) c = Exp(s) d = Sqrt(c) y = Add(b, d) }"""
    pairs = {frozenset(cut.names) for cut in cuts_of_every_order(model_of(text), 2)}
    assert pairs == {frozenset(pair) for pair in (("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"))}


def test_too_many_orders_give_nothing() -> None:
    """Twenty-four branches have 2^24 heads."""
    lines = " ".join(f"b{index} = Relu(x)" for index in range(24))
    total = ", ".join(f"b{index}" for index in range(24))
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[1,4] x) => (float[1,4] y) {{ {lines} y = Sum({total}) }}"""
    assert cuts_of_every_order(model_of(text), 24) == ()
