"""The judge that codecs are fitted with: the tail's answers, as the task compares them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from splitc import evaluate, graph
from splitc.codec import CodecSpec
from splitc.codec.judge import GradientJudge
from splitc.gradients import PULL
from splitc.runtime import Sample
from splitc.tasks import TASKS, BindRequest
from splitc.trials import TailJudge, judge_of
from splitc.types import F32

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,4] x) => (float[1,4] logits) { feature = Neg(x)  logits = Identity(feature) }
"""


@pytest.fixture
def halves() -> graph.Halves:
    return graph.split(graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(MODEL))), ["feature"])


def features(seed: int) -> list[F32]:
    return [np.random.default_rng(seed + i).normal(size=(1, 4)).astype(np.float32) for i in range(3)]


def task(halves: graph.Halves):  # type: ignore[no-untyped-def]  # a bound task
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(MODEL)))
    bound = TASKS.make("classification", {}).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))
    return bound.settle([{"logits": x} for x in features(0)])


def test_it_is_the_divergence_of_each_answer(halves: graph.Halves) -> None:
    known, others = features(0), features(10)
    judge = TailJudge(evaluate.open_graph(halves.tail), task(halves), halves.cut, [known])
    found = judge([[others[0]], [others[1]], [known[0]]], [2, 1, 0])
    p, q = (np.exp(x[0].astype(float)) / np.exp(x[0].astype(float)).sum() for x in (known[2], others[0]))
    assert found[0] == pytest.approx((p * np.log(p / q)).sum(), rel=1e-4)
    assert found[1] > 0
    assert found[2] == pytest.approx(0, abs=1e-9)


def test_only_fitting_that_asks_has_one(halves: graph.Halves) -> None:
    bound, known = task(halves), [features(0)]
    assert judge_of(CodecSpec(), halves, bound, known, []) is None
    assert judge_of(CodecSpec(transform="klt"), halves, bound, known, []) is None
    for spec in (CodecSpec(transform="auto"), CodecSpec(steps="sensitivity")):
        assert judge_of(spec, halves, bound, known, []) is not None


def test_gradients_square_to_the_divergence_of_a_small_change(halves: graph.Halves) -> None:
    known = features(0)
    judge = judge_of(CodecSpec(steps="sensitivity"), halves, task(halves), [known], [])
    assert isinstance(judge, GradientJudge)
    change = np.float32(0.01) * np.array([[1, -2, 1, 3]], np.float32)
    rows = [judge.gradients(1, draw) for draw in range(500)]
    felt = [float((row[0] * change).sum()) for row in rows if row is not None]
    (moved,) = judge([[known[1] + change]], [1])
    # squares of sums of signs: 500 of them lie within 10 %, and KL of a change of 0.03 is quadratic to 2 %
    assert len(felt) == 500
    assert np.mean(np.square(felt)) / 2 == pytest.approx(moved, rel=0.2)
    again = judge.gradients(1, 7)
    assert again is not None
    np.testing.assert_array_equal(again[0], rows[7][0])  # type: ignore[index]  # all are there, as counted


IN_HALVES = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,4] x) => (float[1,4] logits)
{ feature = Neg(x)  h = Cast <to = 10>(feature)  t = Tanh(h)  logits = Cast <to = 1>(t) }
"""


def test_a_tail_in_half_precision_has_the_gradients_of_its_arithmetic() -> None:
    net = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(IN_HALVES)))
    halves = graph.split(net, ["feature"])
    judge = judge_of(CodecSpec(steps="sensitivity"), halves, task(halves), [features(0)], [])
    assert isinstance(judge, GradientJudge)
    found = judge.gradients(0, 0)
    assert found is not None
    x = features(0)[0]
    logits = np.tanh(x.astype(np.float16).astype(np.float32))
    p = np.exp(logits) / np.exp(logits).sum()
    root = np.sqrt(p) * np.random.default_rng((17, 0, 0)).choice([-1.0, 1.0], (4,))
    wanted = (root - p * root.sum()) * (1 - logits**2)
    np.testing.assert_allclose(found[0], wanted, rtol=0.01, atol=1e-3)  # half precision: 11 bits


NO_WAY_BACK = MODEL.replace("Identity(feature)", "Ceil(feature)")


def test_a_tail_without_gradients_has_none() -> None:
    net = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(NO_WAY_BACK)))
    halves = graph.split(net, ["feature"])
    judge = judge_of(CodecSpec(steps="sensitivity"), halves, task(halves), [features(0)], [])
    assert isinstance(judge, GradientJudge)
    assert judge.gradients(0, 0) is None
    assert judge([[features(3)[0]]], [0])[0] > 0


BESIDE = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,4] x, float[1,4] bias) => (float[1,4] logits, float[1,4] early)
{ early = Abs(x)  feature = Neg(x)  logits = Add(feature, bias) }
"""


def test_the_tail_has_what_it_is_given_and_the_answers_what_the_head_gives() -> None:
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(BESIDE)))
    halves = graph.split(graph.keeping(model, graph.SplitKeep(("bias",), ("early",))), ["feature"])
    known, others, biases = features(0), features(10), features(20)
    samples = [Sample(str(i), {"x": -x, "bias": bias}) for i, (x, bias) in enumerate(zip(known, biases, strict=True))]
    outputs = [{"logits": x + bias, "early": np.abs(x)} for x, bias in zip(known, biases, strict=True)]
    for output, is_felt in (("logits", True), ("early", False)):
        request = BindRequest(outputs=model.outputs, inputs=model.inputs)
        bound = TASKS.make("regression", {"output": output}).bind(request).settle(outputs)
        judge = judge_of(CodecSpec(steps="sensitivity"), halves, bound, [known], samples)
        assert judge is not None
        found = judge([[others[2]], [known[0]]], [2, 0])
        after = {"logits": others[2] + biases[2], "early": outputs[2]["early"]}
        assert found[0] == pytest.approx(bound.divergence(outputs[2], after), rel=1e-5)  # float32 sums
        assert (found[0] > 0) == is_felt
        assert found[1] == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("logits = Identity(feature) k = Constant <value = float[2] {1, 2}>()", id="constant"),
        pytest.param("logits = Identity(feature) s = Shape(feature) k = Cast <to = 1>(s)", id="shape-of-the-cut"),
        pytest.param("logits = Identity(feature) z = Less(feature, feature) k = Cast <to = 1>(z)", id="comparison"),
    ],
)
def test_an_output_that_the_cut_does_not_move_is_pulled_in_vain(body: str) -> None:
    text = MODEL.replace("(float[1,4] logits)", "(float[1,4] logits, float[K] k)")
    made = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text.replace("logits = Identity(feature)", body))))
    both = graph.split(made, ["feature"])
    bound = TASKS.make("features", {}).bind(BindRequest(outputs=made.outputs, inputs=made.inputs))
    judge = judge_of(CodecSpec(steps="sensitivity"), both, bound, [features(0)], [])
    assert isinstance(judge, GradientJudge)
    found = judge.gradients(0, 0)
    assert found is not None
    assert np.any(found[0])


@pytest.mark.parametrize("taken", ["feature", "inside"])
def test_names_of_pulls_may_be_taken(taken: str) -> None:
    text = MODEL.replace("Identity(feature)", "Neg(inside)").replace("logits = ", "inside = Exp(feature) logits = ")
    made = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(text)))
    found = []
    for name in (taken, f"{PULL}logits"):
        made.flow.values[taken].name = name
        both = graph.split(graph.model_from_ir(made.ir_model), ["feature" if taken == "inside" else name])
        judge = judge_of(CodecSpec(steps="sensitivity"), both, task(both), [features(0)], [])
        assert isinstance(judge, GradientJudge)
        found.append(judge.gradients(0, 0))
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0][0], found[1][0])
