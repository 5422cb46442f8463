"""What stays float32 in an FP16 half, by name and reason, and that real float16 keeps the answers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import onnxruntime as ort
import pytest

from splitc import graph
from splitc.evaluate import open_graph
from splitc.passes import AnswerJudge, PassResult, ToFloat16, first_not_finite
from splitc.types import Feeds


def loaded(text: str, opset: int = 17, **weights: np.ndarray) -> ir.Model:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> {text}')
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()
    )
    return graph.model_from_ir(ir.from_proto(proto)).ir_model


def samples(*shape: int, count: int = 6, scale: float = 1.0, offset: float = 0.0) -> list[Feeds]:
    random = np.random.default_rng(1)
    return [{"x": (random.standard_normal(shape) * scale + offset).astype(np.float32)} for _ in range(count)]


def error(model: ir.Model, lowered: ir.Model, feeds: list[Feeds]) -> float:
    """Relative, over all samples and outputs, in real float16."""
    exact, got = open_graph(model), open_graph(lowered)
    pairs = [(a, got.run(one)[name]) for one in feeds for name, a in exact.run(one).items()]
    assert all(np.isfinite(b).all() for _, b in pairs)
    return float(np.sqrt(sum(np.square(a - b).sum() for a, b in pairs) / sum(np.square(a).sum() for a, _ in pairs)))


def stays(result: PassResult) -> str:
    return "; ".join(note for note in result.notes if note.startswith("stays float32"))


W = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
PLANTED = [
    pytest.param(
        "[m] h = MatMul(x, w) [k] b = Mul(h, thousand) [s] q = Mul(b, b) [r] t = Sqrt(q) [d] y = Div(t, thousand)",
        {"w": W, "thousand": np.float32(1000)},
        ["'s', 'r' ('q' reaches", "float16 ends at 65,504"],
        id="a-square-overflows",
    ),
    pytest.param(
        "[m] h = MatMul(x, w) [p] e = Exp(h) [l] y = Log(e)",
        {"w": 2 * W},
        ["'p', 'l' ('e' reaches"],
        id="an-exponential-overflows",
    ),
    pytest.param(
        "[m] h = MatMul(x, w) [g] y = Mul(h, small)",
        {"w": 1e5 * W, "small": np.float32(1e-3)},
        ["'m' (weight 'w' reaches", "'g'"],
        id="a-weight-overflows",
    ),
    pytest.param(
        "[m] h = Mul(x, x) [a] v = ReduceMean<axes = [-1], keepdims = 1>(h) [e] c = Add(v, eps) [r] s = Sqrt(c) "
        "[d] y = Div(x, s)",
        {"eps": np.float32(1e-12)},
        ["'e' (constant 'eps' (1e-12) is zero in float16)", "'r', 'd' (follows 'e'"],
        id="an-epsilon-constant-vanishes",
    ),
    pytest.param(
        "[m] h = MatMul(x, w) [n] y = LayerNormalization<epsilon = 1e-12>(h, one)",
        {"w": W, "one": np.ones(8, np.float32)},
        ["'n' (epsilon 1e-12 is zero in float16)"],
        id="an-epsilon-attribute-vanishes",
    ),
    pytest.param(
        "[m] h = MatMul(x, w) [t] s = Mul(h, tiny) [u] y = Mul(s, huge)",
        {"w": W, "tiny": np.float32(1e-7), "huge": np.float32(1e7)},
        ["'t'", "'u' (weight 'huge' reaches 1e+07"],
        id="a-tensor-vanishes",
    ),
    pytest.param(
        "[a] s = Add(x, k) [b] d = Sub(s, k) [m] y = MatMul(d, w)",
        {"w": W, "k": np.float32(3000)},
        ["'a'", "'b'", "moves the outputs by"],
        id="an-offset-cancels",
    ),
    pytest.param(
        "[c] n = Cast<to = 7>(x) [p] p1 = Mul(n, many) [f] h = Cast<to = 1>(p1) [d] y = Div(h, many_f)",
        {"many": np.int64(100_000), "many_f": np.float32(100_000)},
        ["'f'", "'d' (weight 'many_f' reaches 1e+05"],
        id="a-cast-overflows",
    ),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("body", "weights", "words"), PLANTED)
def test_what_float16_would_damage_stays_and_is_named(
    body: str, weights: dict[str, np.ndarray], words: list[str]
) -> None:
    model = loaded(f"g (float[n, 8] x) => (float[n, 8] y) {{ {body} }}", **weights)
    feeds = samples(2, 8, scale=3)
    result = ToFloat16(feeds)(model)
    for word in words:
        assert word in stays(result), result.notes
    assert error(model, result.model, feeds) < 2e-3  # a few roundings of 2^-11


def test_constant_inputs_do_not_divide_by_zero() -> None:
    """No calibration sample has a variance of zero; a constant input later is no NaN."""
    body = "m = ReduceMean<axes = [-1], keepdims = 1>(x) c = Sub(x, m) q = Mul(c, c) v = ReduceMean<axes = [-1], "
    body += "keepdims = 1>(q) e = Add(v, eps) s = Sqrt(e) y = Div(c, s)"
    model = loaded(f"g (float[n, 8] x) => (float[n, 8] y) {{ {body} }}", eps=np.float32(1e-12))
    lowered = ToFloat16(samples(2, 8))(model).model
    np.testing.assert_array_equal(open_graph(lowered).run({"x": np.ones((1, 8), np.float32)})["y"], 0)


def test_a_sum_over_many_elements_stays() -> None:
    model = loaded("g (float[1, n] x) => (float[1, 1] y) { [s] y = ReduceMean<axes = [1]>(x) }")
    result = ToFloat16(samples(1, 40_000, offset=5))(model)
    assert "'s' (its terms sum up to 2e+05" in stays(result)
    assert not result.changed


def test_a_mask_of_the_least_float_stays_a_mask() -> None:
    body = "[o] k = Mul(mask, least) [a] s = Add(x, k) [q] y = Softmax(s)"
    weights = {"mask": np.array([0, 0, 0, 1, 1, 0, 0, 0], "f4"), "least": np.finfo(np.float32).min}
    model = loaded(f"g (float[n, 8] x) => (float[n, 8] y) {{ {body} }}", **weights)
    feeds = samples(2, 8)
    result = ToFloat16(feeds)(model)
    assert "'o' (weight 'least' reaches 3.4e+38" in stays(result)
    assert error(model, result.model, feeds) == 0.0


def test_a_batch_norm_with_a_dead_channel_stays() -> None:
    weights = {name: np.ones(4, np.float32) for name in "sbmv"}
    weights["v"][2] = 1e-12
    body = "[n] y = BatchNormalization<epsilon = 1e-7>(x, s, b, m, v)"
    model = loaded(f"g (float[n, 4, 2, 2] x) => (float[n, 4, 2, 2] y) {{ {body} }}", **weights)
    assert "'n' (a variance of 1e-12 is below float16's normal numbers)" in stays(ToFloat16()(model))


@pytest.mark.parametrize("limit", ["Add(v, eps)", "Clip(v, eps)"])
def test_a_limit_before_a_division_stays_and_a_small_bias_does_not(limit: str) -> None:
    body = f"[s] v = Softplus(x) [e] c = {limit} [d] y = Div(x, c)"
    model = loaded(f"g (float[n, 8] x) => (float[n, 8] y) {{ {body} }}", eps=np.float32(1e-9))
    assert "'e' (constant 'eps' (1e-09) is zero in float16); stays float32: 'd' (follows 'e'" in stays(
        ToFloat16(samples(2, 8))(model)
    )
    harmless = loaded("g (float[n, 8] x) => (float[n, 8] y) { h = Add(x, eps) y = Relu(h) }", eps=np.float32(1e-9))
    assert stays(ToFloat16(samples(2, 8))(harmless)) == ""


RATIO = "[r] r = Div(x, d) [s] q = Mul(r, r) [a] e = Add(q, one) [b] y = Div(q, e)"


@pytest.mark.parametrize("decided", [None, {}], ids=["looked at", "decided"])
def test_what_coded_features_overflow_stays(decided: dict[str, str] | None) -> None:
    """What calibration divides by is never small; what a codec makes of it is."""
    text = f"g (float[n, 8] x, float[n, 1] d) => (float[n, 8] y) {{ {RATIO} }}"
    model = loaded(text, one=np.float32(1))
    feeds = [one | {"d": np.ones((2, 1), np.float32)} for one in samples(2, 8)]
    coded = [one | {"d": np.full((2, 1), 1e-3, np.float32)} for one in feeds]
    alone = ToFloat16(feeds, decided)(model).model
    assert np.isnan(open_graph(alone).run(coded[0])["y"]).any()
    result = ToFloat16(feeds, decided, coded=coded)(model)
    assert "'s'" in stays(result)
    assert error(model, result.model, coded) < 2e-3  # a few roundings of 2^-11
    assert error(model, result.model, feeds) < 2e-3


def test_the_first_fault_names_node_and_tensor() -> None:
    model = loaded(f"g (float[n, 8] x, float[n, 1] d) => (float[n, 8] y) {{ {RATIO} }}", one=np.float32(1))
    lowered = ToFloat16(decided={})(model).model
    sound, faulty = ({"x": np.ones((1, 8), "f4"), "d": np.full((1, 1), d, "f4")} for d in (1, 1e-3))
    assert first_not_finite(lowered, sound) is None
    fault = first_not_finite(lowered, faulty)
    assert fault == ("s", "q")
    assert str(fault) == "node 's' is the first to give them, in 'q'"


def test_parts_take_over_what_was_found_for_the_whole() -> None:
    body = "[m] h = MatMul(x, w) [s] q = Mul(h, h) [r] r = Sqrt(q) y = Relu(r)"
    whole = graph.model_from_ir(ir.from_proto(ir.to_proto(loaded(TWO % body, w=300 * W))))
    graph.fix_names(whole.ir_model)
    decided = ToFloat16(samples(2, 8)).stays(whole.ir_model)
    assert set(decided) < {node.name for node in whole.ir_model.graph}
    tail = graph.split(whole, ["q"]).tail
    result = ToFloat16(decided=decided)(tail)
    assert all(repr(node.name) in stays(result) for node in tail.graph if node.name in decided)
    assert result.model.graph[0].inputs[0].dtype == ir.DataType.FLOAT


DROWNED = """g (float[n, 8] x) => (float[n, 16] y) {
    [large] pixels = Add(x, far) [up] lifted = Add(x, step) [down] score = Sub(lifted, step)
    y = Concat<axis = 1>(score, pixels) }"""
SCORED = (
    """g (float[n, 16] y, float[n, 8] x) => (float[n, 8] z) { score, rest = Split<axis = 1>(y) z = Add(score, x) }"""
)
STEP = np.float32(1000)


def scores_moved(reference: Feeds, got: Feeds) -> float:
    """Mean squared error of the first eight columns: the rest is pixels, for which a pixel is nothing."""
    one, other = (next(reversed(outputs.values()))[:, :8].astype(np.float64) for outputs in (reference, got))
    return float(np.square(one - other).mean())


def test_answers_that_pixels_drown_decide_what_stays() -> None:
    """Scores between -3 and 3 are rounded to halves, by a thousandth of the norm that the pixels beside them have."""
    model, feeds = loaded(DROWNED, far=np.float32(3000), step=STEP), samples(2, 8)
    assert "'up'" not in stays(ToFloat16(feeds)(model))
    result = ToFloat16(feeds, judge=AnswerJudge(scores_moved))(model)
    assert "'up', 'down' (alone it moves the answers by a divergence of 0.0" in stays(result)
    exact, got = (open_graph(one).run(feeds[0]) for one in (model, result.model))
    assert scores_moved(exact, got) < 1e-4  # of 0.02 before


@pytest.mark.parametrize(("weight", "is_kept"), [(1.0, True), (1e-3, False)])
def test_a_half_is_judged_by_the_answers_of_the_whole(weight: float, is_kept: bool) -> None:
    """The tail takes the head's output and an input of the network."""
    model, feeds = loaded(DROWNED, far=np.float32(3000), step=STEP), samples(2, 8)
    judge = AnswerJudge(lambda one, other: weight * float(np.square(one["z"] - other["z"]).mean()), loaded(SCORED))
    assert ("'up'" in stays(ToFloat16(feeds, judge=judge)(model))) == is_kept


TWO = "g (float[n, 8] x) => (float[n, 8] y) { %s }"


def test_a_network_that_fits_keeps_nothing() -> None:
    model = loaded("g (float[n, 8] x) => (float[n, 8] y) { h = MatMul(x, w) y = Relu(h) }", w=W)
    result = ToFloat16(samples(2, 8))(model)
    assert stays(result) == ""
    assert result.notes[0].startswith("FP16 weights and arithmetic: outputs move by 0.000")
    assert model.graph.initializers["w"].dtype == ir.DataType.FLOAT  # left as it was


def test_nothing_to_lower_changes_nothing() -> None:
    model = loaded("g (float[n, 8] x) => (float[n, 8] y) { [top] y = Max(x, x) }")
    result = ToFloat16(samples(2, 8))(model)
    assert not result.changed
    assert result.notes == ("FP16: no node computes in it", "stays float32: 'top' (not every engine has a float16 Max)")


def test_a_half_network_is_left_as_it_is() -> None:
    model = loaded("g (float16[n, 8] x) => (float16[n, 8] y) { h = Exp(x) y = Sqrt(h) }")
    result = ToFloat16([{"x": np.ones((1, 8), np.float16)}])(model)
    assert (result.changed, result.notes) == (False, ("FP16: the half computes in it already",))


X4 = samples(1, 8)
QDQ = "h = Exp(x) q = QuantizeLinear(h, s, z) d = DequantizeLinear(q, s, z) y = Sqrt(d)"
LISTS = "h = Exp(x) s = SplitToSequence<axis = 1>(h) c = ConcatFromSequence<axis = 1>(s) y = Sqrt(c)"
STRUCTURES = [
    pytest.param(17, "h = Exp(x) s = Shape(h) r = Reshape(h, s) y = Sqrt(r)", {}, id="shapes-read-anything"),
    pytest.param(
        13, "h = Exp(x) q = QuantizeLinear(h, s, z) d = DequantizeLinear(q, s, z) y = Sqrt(d)", "qdq", id="13"
    ),
    pytest.param(
        19, "h = Exp(x) q = QuantizeLinear(h, s, z) d = DequantizeLinear(q, s, z) y = Sqrt(d)", "qdq", id="19"
    ),
    pytest.param(
        17, "h = Exp(x) q, s, z = DynamicQuantizeLinear(h) d = DequantizeLinear(q, s, z) y = Sqrt(d)", {}, id="dynamic"
    ),
    pytest.param(
        17,
        "h = Exp(x) c = ReduceMax<keepdims = 0>(h) b = Greater(c, w) i = If (b) <then_branch = t () => (float[n, 8] u) "
        "{ a = Max(h, w) u = Sqrt(a) }, else_branch = e () => (float[n, 8] v) { v = Identity(h) }> y = Sqrt(i)",
        {"w": np.float32(3)},
        id="a-blocked-operator-in-a-branch",
    ),
    pytest.param(
        17,
        "h = Exp(x) y = Loop (trips, yes, h) <body = l (int64 i, bool c, float[n, 8] v) => (bool d, float[n, 8] u) "
        "{ d = Identity(c) u = Mul(v, w) }>",
        {"trips": np.int64(3), "yes": np.array(True), "w": np.float32(0.9)},
        id="a-weight-read-in-a-loop",
    ),
    pytest.param(17, "l = HannWindow(size) h = Exp(x) y = Mul(h, l)", {"size": np.int64(8)}, id="a-made-window"),
    pytest.param(17, "h = Exp(x) d = Cast<to = 11>(h) e = Mul(d, d) f = Cast<to = 1>(e) y = Sqrt(f)", {}, id="double"),
    pytest.param(
        17,
        "h = Exp(x) s = SplitToSequence<axis = 1>(h) c = ConcatFromSequence<axis = 1>(s) y = Sqrt(c)",
        {},
        id="lists",
    ),
    pytest.param(17, "h = Exp(x) v, i = TopK(h, k) f = Cast<to = 1>(i) y = Mul(v, f)", {"k": np.array([8])}, id="topk"),
    pytest.param(17, '"x/float16" = Exp(x) "h/float16" = Sqrt("x/float16") y = Mul("h/float16", x)', {}, id="names"),
    pytest.param(17, "h = Exp(x) y = Clip(h, lo, hi)", {"lo": np.float32(0), "hi": np.float32(6)}, id="clip"),
    pytest.param(17, "h = Mul(x, w) g = Max(h, w) y = Sqrt(g)", {"w": W[:1] ** 2}, id="a-weight-in-both-types"),
]


@pytest.mark.parametrize(("opset", "body", "weights"), STRUCTURES)
def test_structures_keep_running(opset: int, body: str, weights: dict[str, np.ndarray] | str) -> None:
    """As ONNX Runtime's checker and its kernels see them, and in real float16."""
    given = {"s": np.float32(0.1), "z": np.int8(0)} if isinstance(weights, str) else weights
    model = loaded(f"g (float[n, 8] x) => (float[n, 8] y) {{ {body} }}", opset, **given)
    result = ToFloat16(X4)(model)
    assert result.changed
    session = ort.InferenceSession(graph.to_bytes(result.model), providers=["CPUExecutionProvider"])
    assert session.run(None, dict(X4[0]))[0].dtype == np.float32
    assert error(model, result.model, X4) < (0.03 if isinstance(weights, str) or "Dynamic" in body else 2e-3)
    # a value at the edge of a step of INT8 may fall to the other side, which moves it by a whole step
