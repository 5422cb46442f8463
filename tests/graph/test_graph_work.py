"""What each node asks of a processor: fused groups, kinds, and how many activations live at one time."""

from __future__ import annotations

import math

import onnx_ir as ir
from onnx import parser

from splitc.graph import Model, activation_peaks, cut_sides, model_from_ir, work_of

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
