"""INT8 by the answers: which layers are left alone, how channels, ranges and biases are chosen and corrected."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from splitc import graph, passes
from splitc.passes.activation_ranges import ACROSS_FOLDS, RULES, Magnitudes, largest, magnitudes_of, percentile
from splitc.passes.activations import open_session, run_with
from splitc.passes.edit_weights import put_weight, read_weight
from splitc.passes.layers import layers_of
from splitc.passes.quantization_choice import choose_quantization, parted, with_activations
from splitc.passes.quantize_static import round_layers
from splitc.types import Array, Feeds


def made(body: str, ports: str, weights: dict[str, Array]) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {ports} {{ {body} }}')
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()
    )
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def weight(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape) / np.sqrt(np.prod(shape[1:]))


def feeds(count: int, seed: int = 1) -> list[Feeds]:
    random = np.random.default_rng(seed)
    return [{"x": random.standard_normal((1, 4, 8, 8)).astype(np.float32)} for _ in range(count)]


def answers(model: ir.Model, samples: list[Feeds]) -> Array:
    session = open_session(model)
    return np.concatenate([session.run(None, dict(one))[0] for one in samples])


def chosen_of(model: ir.Model) -> frozenset[str]:
    return frozenset(layer.weight for layer in layers_of(model))


# -- layers that are left alone ------------------------------------------------------------------------------------

HEAD = """
  a = Conv(x, w0) s = Sigmoid(a) m = Mul(a, s)
  box = Conv(m, w1) score = Conv(m, w2)
  r = Reshape(box, shape) p = Softmax<axis = 1>(r) t = Transpose<perm = [0, 1, 3, 2]>(p) e = Conv(t, steps)
  q = Sigmoid(score)
"""
PORTS = "(float[1, 4, 8, 8] x) => (float[1, 1, 8, 32] e, float[1, 2, 8, 8] q)"
DETECTOR = {"w0": weight(4, 4, 1, 1), "w1": weight(16, 4, 1, 1), "w2": weight(2, 4, 1, 1)}


def detector() -> ir.Model:
    """A SiLU body, boxes as distributions over four steps, and scores."""
    steps = np.arange(4).reshape(1, 4, 1, 1)
    body = HEAD.replace("shape)", "shape_)")
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {PORTS} {{ {body} }}')
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in (DETECTOR | {"steps": steps}).items()
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 4, 32, 8], np.int64), "shape_"))
    return graph.model_from_ir(ir.from_proto(model)).ir_model


def test_decoding_and_last_layers_are_named_with_their_reason() -> None:
    found = passes.output_layers(detector())
    assert found == {
        "steps": "its weights are fixed, not trained",
        "w1": "no trained layer follows",
        "w2": "no trained layer follows",
    }
    assert list(passes.layer_names(detector(), found)) == [
        "no trained layer follows",
        "its weights are fixed, not trained",
    ]


def test_last_layers_are_the_tasks_affair() -> None:
    assert set(passes.output_layers(detector(), with_last=False)) == {"steps"}


def test_the_tail_counts_for_the_head() -> None:
    """The head's last layer is the network's where nothing trained follows in the tail."""
    head = made("a = Conv(x, w0) y = Relu(a)", "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)", {"w0": DETECTOR["w0"]})
    trained = made("z = Conv(y, v)", "(float[1, 4, 8, 8] y) => (float[1, 4, 8, 8] z)", {"v": weight(4, 4, 1, 1)})
    decoding = made("z = Sigmoid(y)", "(float[1, 4, 8, 8] y) => (float[1, 4, 8, 8] z)", {})
    assert passes.output_layers(head, trained) == {}
    assert passes.output_layers(head, decoding) == {"w0": "no trained layer follows"}


def test_what_reads_probabilities_is_left_alone() -> None:
    model = made(
        "p = Softmax<axis = 1>(x) t = Transpose<perm = [0, 1, 3, 2]>(p) y = Conv(t, w0)",
        "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)",
        {"w0": DETECTOR["w0"]},
    )
    assert passes.output_layers(model, with_last=False) == {"w0": "it reads probabilities"}


BRANCH = "(float[1, 4, 8, 8] x, bool c) => (float[1, 2, 8, 8] y)"
CAPTURED = """
  a = Conv(x, w0)
  b = If(c) <then_branch = one () => (float[1, 4, 8, 8] t) { t = Relu(a) },
             else_branch = two () => (float[1, 4, 8, 8] e) { e = %s }>
  y = Conv(b, w1)
"""


@pytest.mark.parametrize("other", ["Neg(a)", "Identity(a)"])
def test_a_layer_that_only_branches_read_is_followed(other: str) -> None:
    """Captured values are read, though they are no inputs of the If node."""
    weights = {"w0": weight(4, 4, 1, 1), "w1": weight(2, 4, 1, 1)}
    assert passes.output_layers(made(CAPTURED % other, BRANCH, weights)) == {"w1": "no trained layer follows"}


def test_a_layer_before_a_branch_of_the_tail_is_followed() -> None:
    """The head's output is captured by the tail's If."""
    head = made("a = Conv(x, w0)", "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] a)", {"w0": weight(4, 4, 1, 1)})
    ports = "(float[1, 4, 8, 8] a, bool c) => (float[1, 2, 8, 8] y)"
    tail = made((CAPTURED % "Neg(a)").replace("a = Conv(x, w0)", ""), ports, {"w1": weight(2, 4, 1, 1)})
    assert passes.output_layers(head, tail) == {}


# -- channels ------------------------------------------------------------------------------------------------------


def depthwise(activation: str) -> ir.Model:
    """Channels of very unequal range before a depthwise convolution."""
    scales = np.array([1, 0.1, 0.01, 0.02]).reshape(4, 1, 1, 1)
    return made(
        f"a = Conv(x, w0, b0) h = {activation} d = Conv<group = 4, pads = [1, 1, 1, 1]>(h, w1) y = Conv(d, w2)",
        "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)",
        {
            "w0": scales * weight(4, 4, 1, 1),
            "b0": 0.1 * scales.ravel(),
            "w1": weight(4, 1, 3, 3),
            "w2": weight(4, 4, 1, 1),
            "slope": np.array([0.1, 0.2, -0.3, 0.4]).reshape(4, 1, 1),
        },
    )


@pytest.mark.parametrize("activation", ["LeakyRelu<alpha = 0.1>(a)", "PRelu(a, slope)", "Relu(a)"])
def test_channels_before_a_depthwise_layer_are_wholly_equal(activation: str) -> None:
    """Within the bound of 32, with the same answers."""
    model, samples = depthwise(activation), feeds(8)
    result = passes.Equalize(samples, 32.0)(model)
    assert result.changed
    ranges = []
    for one in (model, result.model):
        seen = [np.abs(values["h"][0]).max((1, 2)) for values in run_with(one, ["h"], samples, only=True)]
        ranges.append(np.max(seen, axis=0))
    smaller = ranges[0].max() / ranges[0]
    assert np.allclose(ranges[1] / ranges[1].max(), np.minimum(smaller, 32) / smaller, rtol=1e-4)  # float32 factors
    exact, got = answers(model, samples), answers(result.model, samples)
    assert np.abs(exact - got).max() < 1e-4 * np.abs(exact).max()  # float32 rounding of both weights


# -- ranges --------------------------------------------------------------------------------------------------------


def test_rules_on_known_magnitudes() -> None:
    counts = np.zeros((4, 2048))
    counts[0, :1000] = 10
    counts[3, 2047] = 1
    seen = Magnitudes(counts, np.array([1.0, 0.5, 0.5, 2.048]))
    assert largest(seen) == 2.048
    assert percentile(seen, 99) == pytest.approx(0.991)  # of 10,001 values, ten a bin of 0.001
    assert percentile(seen, 100) == 2.048
    assert 0 < RULES[ACROSS_FOLDS](seen) <= 2 * 2.048


def test_magnitudes_are_counted_by_fold() -> None:
    model, samples = depthwise("Relu(a)"), feeds(6)
    seen = magnitudes_of(model, ["x"], samples, 4)["x"]
    assert seen.counts.sum(1).tolist() == [512, 512, 256, 256]
    assert seen.tops.max() == pytest.approx(max(float(np.abs(one["x"]).max()) for one in samples))


def test_a_useless_outlier_is_cut_by_the_answers() -> None:
    """One value in two thousand is huge and its weight nearly zero: only the answers tell that it does not matter."""
    model = made(
        "a = Relu(x) y = Conv(a, w0)",
        "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)",
        {"w0": weight(4, 4, 1, 1) * np.array([1, 1, 1, 1e-6]).reshape(1, 4, 1, 1)},
    )
    samples = feeds(32)
    for one in samples[::8]:
        one["x"][0, 3, 0, 0] = 400.0
    found = choose_quantization(model, chosen_of(model), samples)
    assert found.rule == "99.9 % of the values"
    assert "held-out samples" in found.equal.notes[-1]


def test_the_judge_sees_what_follows() -> None:
    """A tail that drops two channels makes their errors worth nothing."""
    head = made("a = Conv(x, w0) y = Relu(a)", "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)", {"w0": DETECTOR["w0"]})
    tail = made(
        "z = Mul(y, k)", "(float[1, 4, 8, 8] y) => (float[1, 4, 8, 8] z)", {"k": [[[[1]], [[1]], [[0]], [[0]]]]}
    )
    other = head.clone()
    changed = read_weight(other, "w0").copy()
    changed[2:] = 0
    put_weight(other, layers_of(other)[0], changed)
    alone, whole = passes.AnswerJudge(), passes.AnswerJudge(rest=tail)
    assert alone.against(head, feeds(2))(other) > 0
    assert whole.losses(head, feeds(2))(other) == (0, 0)


@pytest.mark.parametrize(("count", "fitting", "judging"), [(3, 3, 0), (8, 4, 4), (24, 12, 12), (40, 30, 10)])
def test_few_samples_judge_half_and_half(count: int, fitting: int, judging: int) -> None:
    fitted, held = parted(feeds(count))
    assert (len(fitted), len(held)) == (fitting, judging)


# -- biases --------------------------------------------------------------------------------------------------------


def clipped_pair(samples: list[Feeds]) -> tuple[ir.Model, ir.Model]:
    """A float network and itself in INT8 with ranges that clip half of what they should hold."""
    model = made(
        "a = Conv(x, w0, b0) h = Relu(a) y = Conv(h, w1, b1)",
        "(float[1, 4, 8, 8] x) => (float[1, 4, 8, 8] y)",
        {"w0": weight(4, 4, 1, 1), "b0": np.ones(4), "w1": weight(4, 4, 3, 3, seed=2)[:, :, :1, :1], "b1": np.zeros(4)},
    )
    prepared = with_activations(model, {"x": 1.0, "h": 1.0}, chosen_of(model))
    return model, round_layers(prepared, model, chosen_of(model), samples)


def test_a_bias_makes_up_for_its_own_layer() -> None:
    """With the other layer back in float, the mean of the outputs is the float network's."""
    samples = feeds(32)
    model, lowered = clipped_pair(samples)
    corrected = passes.CorrectBiases(model, samples)(lowered)
    assert corrected.notes == ("biases of 2 layers corrected, each by its own error",)
    means = []
    for one in (lowered, corrected.model):
        only_last = passes.LiftLayers(model, frozenset({"w0"}))(one).model
        means.append(
            np.abs(answers(only_last, samples).mean((0, 2, 3)) - answers(model, samples).mean((0, 2, 3))).max()
        )
    assert means[1] < 0.05 * means[0]  # what samples contradict each other about is left


def test_lifting_gives_back_the_bias_too() -> None:
    samples = feeds(32)
    model, lowered = clipped_pair(samples)
    corrected = passes.CorrectBiases(model, samples)(lowered).model
    whole = passes.LiftLayers(model, frozenset({"w0", "w1"}))(corrected).model
    assert np.array_equal(answers(whole, samples), answers(model, samples))


def test_layers_in_float_keep_their_bias_when_others_are_aligned() -> None:
    samples = feeds(16)
    model, _ = clipped_pair(samples)
    for alone in (False, True):
        done = passes.QuantizeStatic(samples, keep_float=frozenset({"w1"}), alone=alone)(model).model
        assert np.array_equal(read_weight(done, "b1"), read_weight(model, "b1"))
        assert not np.array_equal(read_weight(done, "b0"), read_weight(model, "b0"))


# -- networks that were quantized before ---------------------------------------------------------------------------


def test_a_quantized_network_stays_as_it_is_and_says_so() -> None:
    samples = feeds(8)
    model, _ = clipped_pair(samples)
    once = passes.QuantizeStatic(samples)(model).model
    again = passes.QuantizeStatic(samples)(once)
    assert not again.changed
    assert again.notes[0].startswith("this network was quantized before: 2 as Q/DQ; these layers keep their scales")
    assert "nothing to quantize" in again.notes[1]


def test_float_layers_beside_quantized_ones_are_quantized() -> None:
    samples = feeds(8)
    model, _ = clipped_pair(samples)
    half = passes.QuantizeStatic(samples, keep_float=frozenset({"w1"}))(model).model
    done = passes.QuantizeStatic(samples)(half)
    assert done.changed
    assert done.notes[0].startswith("this network was quantized before: 1 as Q/DQ")
    assert sum(node.op_type == "QuantizeLinear" for node in done.model.graph) == 2


def test_operators_of_integers_are_named() -> None:
    body = "y = MatMulInteger(x, w)"
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (int8[2, 4] x) => (int32[2, 4] y) {{ {body} }}'
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(4, dtype=np.int8), "w"))
    notes = passes.QuantizeStatic([])(graph.model_from_ir(ir.from_proto(proto)).ir_model).notes
    assert "1 as quantized operators" in notes[0]
