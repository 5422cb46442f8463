"""FP16 behind a cut inside a layer norm: what a codec makes of its statistics is part of what the tail must bear."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from splitc import evaluate, graph
from splitc.codec import CodecSpec
from splitc.device import load_device
from splitc.lowering import ComputeTarget, FeatureCoding, LoweringRequest, lower
from splitc.recipe import WeightsSection
from splitc.runtime import Sample
from splitc.tasks import TASKS, BindRequest, BoundTask
from splitc.trials import recoded
from splitc.types import Layout

NORM = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,16,32] x) => (float[1,16,32] y)
<float eps = {0.000001}, float one = {1.0}> {
  m = ReduceMean<axes = [2], keepdims = 1>(x)
  xx = Mul(x, x)
  s = ReduceMean<axes = [2], keepdims = 1>(xx)
  c = Sub(x, m)
  mm = Mul(m, m)
  d = Sub(s, mm)
  v = Relu(d)
  e = Add(v, eps)
  r = Sqrt(e)
  n = Div(c, r)
  [square] q = Mul(n, n)
  [cube] k = Mul(q, n)
  [size] a = Abs(k)
  [end] b = Add(a, one)
  [ratio] y = Div(k, b)
}
"""
"""A layer norm as TensorFlow spells it: its variance is a difference of means, which are cut tensors here."""
CUT = ("s", "m", "c")
SPEC = CodecSpec(bits=4)


@pytest.fixture(scope="module")
def model() -> graph.Model:
    return graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(NORM)))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Numbers far from zero with a spread of about one."""
    random = np.random.default_rng(0)
    means = random.uniform(8, 16, (8, 1, 16, 1))
    return [
        Sample(str(index), {"x": (mean + random.standard_normal((1, 16, 32))).astype(np.float32)})
        for index, mean in enumerate(means)
    ]


def bound(model: graph.Model) -> BoundTask:
    return TASKS.make("features", {}).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))


def test_the_tail_bears_what_a_codec_makes_of_statistics(model: graph.Model, samples: list[Sample]) -> None:
    halves, task = graph.split(model, CUT), bound(model)
    layouts = [graph.CutLayout(Layout(batch_axis=0, channel_axis=1), True) for _ in CUT]
    coding = FeatureCoding({}, partial(recoded, SPEC, halves, layouts))
    weights = WeightsSection.model_validate({"precision": "fp16"})
    targets = {side: ComputeTarget(side, load_device("l4"), "null", False) for side in ("edge", "cloud")}
    request = LoweringRequest(halves, weights, None, samples, targets, task)
    aware = LoweringRequest(halves, weights, None, samples, targets, task, coding)
    head = evaluate.open_graph(halves.head)
    made = [halves.tail_feeds(one.feeds, head.run(halves.head_feeds(one.feeds))) for one in samples]
    coded = coding.run(samples, made)
    assert not all(np.array_equal(one["s"], other["s"]) for one, other in zip(made, coded, strict=True))

    exact = evaluate.open_graph(halves.tail)
    unaware, found = (lower(one).halves.tail for one in (request, aware))
    runner = evaluate.open_graph(unaware)
    assert any(not np.isfinite(runner.run(one)["y"]).all() for one in coded)
    runner = evaluate.open_graph(found)
    for one in (*made, *coded):
        # a float16 rounding of the root moves the cube by a few times 2^-11, and the ratio by less
        np.testing.assert_allclose(runner.run(one)["y"], exact.run(one)["y"], atol=1e-2)


def test_what_went_through_a_codec_keeps_names_and_types(model: graph.Model, samples: list[Sample]) -> None:
    halves = graph.split(model, CUT)
    layouts = [graph.CutLayout(Layout(batch_axis=0, channel_axis=1), True) for _ in CUT]
    made = [{name: np.full((1, 16, 1 if name in "sm" else 32), 2, np.float32) for name in CUT} for _ in range(2)]
    coded = recoded(SPEC, halves, layouts, samples[:2], made)
    assert [one.keys() for one in coded] == [one.keys() for one in made]
    for one in coded:
        for name, array in one.items():
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, made[0][name], rtol=1e-6)  # a constant is a level of its own
