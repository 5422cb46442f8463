"""Dynamic sizes count as what they usually are: a plan for any number of tokens is that of the usual number."""

from __future__ import annotations

import onnx_ir as ir
from onnx import parser

from splitc import graph, plan
from splitc.codec import CodecSpec
from splitc.device import Device, Link
from splitc.plan import Ask, Measurement, Option, Places, Plan
from splitc.recipe import SplitSection

TOKENS = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,%s,6] x) => (float[N,8] y) <float[6,8] w = {%s}> {
  m = MatMul(x, w)
  r = Relu(m)
  y = ReduceMean<axes = [1], keepdims = 0>(r)
}"""
SOURCES = {"bandwidth_gb_s": "made up", "peak_tflops.fp32": "made up"}
SLOW = Device(name="slow", title="slow", bandwidth_gb_s=1, peak_tflops={"fp32": 1e-4}, sources=SOURCES)
PLACES = Places(SLOW, SLOW, Link(uplink_mbps=1, rtt_ms=1))


def model(tokens: str) -> graph.Model:
    text = TOKENS % (tokens, ",".join(["1"] * 48))
    return graph.model_from_ir(ir.from_proto(parser.parse_model(text)))


def search(tokens: str, **sizes: int) -> Plan:
    ask = Ask(SplitSection(), (Option(CodecSpec(bits=4)),), sizes=sizes)
    return plan.search(model(tokens), ask, PLACES, lambda cut, _: Measurement(cut.wire_bytes / 16))


def test_a_plan_at_the_usual_size_is_that_of_a_model_of_this_size() -> None:
    dynamic, fixed = search("T", T=50), search("50")
    assert [point.load for point in dynamic.points] == [point.load for point in fixed.points]
    assert [point.latency for point in dynamic.points] == [point.latency for point in fixed.points]
    assert [point.feature_bytes for point in dynamic.points] == [point.feature_bytes for point in fixed.points]
    assert [point.payload_bytes for point in dynamic.baselines] == [point.payload_bytes for point in fixed.baselines]


def test_sizes_that_are_not_given_count_as_one() -> None:
    assert search("T").points[0].feature_bytes == search("1").points[0].feature_bytes


def test_cuts_keep_the_names_of_dynamic_dimensions() -> None:
    seen = []
    ask = Ask(SplitSection(), (Option(CodecSpec(bits=4)),), sizes={"T": 50})
    plan.search(model("T"), ask, PLACES, lambda cut, _: seen.append(cut.shapes) or Measurement(1.0))  # type: ignore[func-returns-value]
    assert (("N", "T", 8),) in seen


def test_a_model_of_other_sizes_is_another_model() -> None:
    dynamic = model("T")
    sized = graph.with_sizes(dynamic, {"T": 50, "unknown": 3})
    assert [spec.shape for spec in sized.inputs] == [("N", 50, 6)]
    assert sized.flops == model("50").flops
    assert [spec.shape for spec in dynamic.inputs] == [("N", "T", 6)]
    assert graph.with_sizes(dynamic, {}) is dynamic
