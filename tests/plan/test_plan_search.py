"""The search for a cut: the cheapest wins, every loser has a true reason, constraints hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir
import pytest
from onnx import parser

from splitc import graph, plan
from splitc.codec import ENTROPY_CODERS, CodecSpec
from splitc.codec.entropy import EntropyCoder
from splitc.device import Device, Link, codec_ms, roofline_ms
from splitc.errors import CutError
from splitc.plan import Ask, CodedInput, Measurement, Option, Places, Plan, Prices
from splitc.recipe import SplitSection

CHAIN = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,4,8,8] x) => (float[N,2] y) <float[8,4,3,3] w1, float[16,8,3,3] w2, float[2,16] w3, float[2] b3> {
  [first] a = Conv<pads = [1,1,1,1]>(x, w1)
  [first_relu] b = Relu(a)
  [second] c = Conv<pads = [1,1,1,1], strides = [2,2]>(b, w2)
  [second_relu] d = Relu(c)
  [pool] e = GlobalAveragePool(d)
  [flatten] f = Flatten(e)
  [last] y = Gemm<transB = 1>(f, w3, b3)
}"""
"""Bytes as float32: a, b 2048; c, d 1024; e, f 64."""
RESIDUAL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[N,4,8,8] x) => (float[N,4,8,8] y) <float[4,4,1,1] w> {
  [stem] a = Relu(x)
  [body] b = Conv(a, w)
  [add] c = Add(a, b)
  [end] y = Relu(c)
}"""


def device(name: str, tflops: float, gb_s: float) -> Device:
    sources = {"bandwidth_gb_s": "made up", "peak_tflops.fp32": "made up"}
    return Device(name=name, title=name, bandwidth_gb_s=gb_s, peak_tflops={"fp32": tflops}, sources=sources)


SLOW, FAST = device("slow", 1e-4, 1), device("fast", 50, 900)
THIN, THICK = Link(uplink_mbps=0.1, rtt_ms=1), Link(uplink_mbps=1e5, rtt_ms=0)
OPTION = Option(CodecSpec(bits=4))


def model_of(text: str) -> graph.Model:
    """A text graph whose declared weights are zeros."""
    proto = parser.parse_model(text)
    for info in proto.graph.value_info:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        proto.graph.initializer.add(name=info.name, data_type=1, dims=dims, raw_data=bytes(4 * math.prod(dims)))
    del proto.graph.value_info[:]
    return graph.model_from_ir(ir.from_proto(proto))


def half_the_bytes(cut: graph.CandidateCut) -> float:
    """A codec that packs float32 into 2 bits an element."""
    return cut.wire_bytes / 16


def search(places: Places, text: str = CHAIN, measure: Callable = half_the_bytes, **asked: object) -> Plan:
    """Search with one option; ``measure`` gives bytes."""
    ask = Ask(SplitSection.model_validate(asked), (OPTION,), sends_pixels=True)
    return plan.search(model_of(text), ask, places, lambda cut, _: Measurement(measure(cut)))


def places(edge: Device = SLOW, cloud: Device = FAST, link: Link = THICK) -> Places:
    return Places(edge=edge, cloud=cloud, link=link)


@pytest.mark.parametrize(
    ("where", "asked", "chosen"),
    [
        pytest.param(places(SLOW, FAST, THICK), {}, "b", id="slow-edge-thick-link-cuts-early"),
        pytest.param(places(FAST, SLOW, THICK), {}, "f", id="fast-edge-cuts-late"),
        pytest.param(places(FAST, FAST, THIN), {}, "f", id="thin-link-cuts-where-least-crosses"),
        pytest.param(places(SLOW, FAST, THICK), {"objective": "uplink"}, "f", id="uplink-takes-the-smallest"),
        pytest.param(places(), {"pin_edge": ["second"]}, "d", id="pin-edge"),
        pytest.param(places(), {"pin_edge": ["second*"]}, "d", id="pin-edge-glob"),
        pytest.param(places(FAST, SLOW), {"pin_cloud": ["pool"]}, "d", id="pin-cloud"),
        pytest.param(places(FAST, SLOW), {"pin_cloud": ["second"]}, "b", id="pin-cloud-earlier"),
        pytest.param(places(), {"min_depth": 0.9}, "d", id="depth"),
        pytest.param(places(), {"candidates": 1}, "b", id="one-candidate"),
    ],
)
def test_the_chosen_cut(where: Places, asked: dict, chosen: str) -> None:
    found = search(where, **asked)
    objective = asked.get("objective", "latency")
    prices = [one.payload_bytes if objective == "uplink" else one.latency.total_ms for one in found.points]
    assert found.best_cut.cut == (chosen,)
    assert prices[found.points.index(found.best_cut)] == min(prices)
    assert [one.load.head_flops for one in found.points] == sorted(one.load.head_flops for one in found.points)
    assert all(one.is_measured for one in found.points)


def test_every_cut_is_chosen_measured_or_rejected_once() -> None:
    found = search(places(), candidates=3, pin_cloud=["flatten"])
    listed = graph.enumerate_cuts(model_of(CHAIN))
    every = {cut.names for cut in listed.candidates} | {cut.names for cut in listed.rejected}
    rejected = [cut.names for cut in found.rejected]
    assert len(found.points) == 3
    assert sorted([found.best_cut.cut, *rejected]) == sorted(every)
    assert {point.cut for point in found.points} - {found.best_cut.cut} <= set(rejected)


def test_reasons_are_true() -> None:
    found = search(places(), candidates=2, pin_cloud=["pool"], min_depth=0.2)
    reasons = {cut.names[0]: cut.reason for cut in found.rejected}
    model = model_of(CHAIN)
    share = graph.price_cut(model, ["a"]).head_flops / model.flops
    assert (found.best_cut.cut, {one.cut for one in found.points}) == (("b",), {("b",), ("d",)})
    assert share > 0.2
    assert reasons.keys() == {"a", "c", "d", "e", "f", "y"}
    assert reasons["d"] == f"measured bytes give {found.points[1].latency.total_ms:.2f} ms, b gives " + (
        f"{found.best_cut.latency.total_ms:.2f} ms"
    )
    assert reasons["c"].startswith("predicted ")
    assert reasons["c"].endswith(" ms, not among the 2 best (split.candidates)")
    assert reasons["e"] == reasons["f"] == "node 'pool' would be on the edge; pin_cloud keeps it in the cloud"
    assert reasons["y"] == "it is the only output of the model, so the tail would be empty"


def test_an_activation_goes_before_what_is_predicted_alike() -> None:
    """One measurement of each of the three prices of the chain, the deepest first; then the others."""
    asked = []
    search(places(SLOW, FAST, THICK), measure=lambda cut: asked.append(cut.names[0]) or 10.0)
    assert sorted(asked[:3]) == ["b", "d", "f"]
    assert sorted(asked) == ["a", "b", "c", "d", "e", "f"]


def test_a_shallow_cut_says_how_shallow() -> None:
    found = search(places(), min_depth=0.9)
    model = model_of(CHAIN)
    share = graph.price_cut(model, ["b"]).head_flops / model.flops
    reasons = {cut.names[0]: cut.reason for cut in found.rejected}
    assert reasons["b"] == f"{share:.1%} of the FLOPs on the edge, min_depth asks for 90.0%"


def test_a_cut_at_the_depth_asked_for_is_deep_enough() -> None:
    model = model_of(CHAIN)
    share = graph.price_cut(model, ["c"]).head_flops / model.flops
    assert search(places(), min_depth=share).best_cut.cut == ("d",)


def test_a_pinned_edge_names_the_node() -> None:
    reasons = {cut.names[0]: cut.reason for cut in search(places(), pin_edge=["second"]).rejected}
    assert reasons["a"] == reasons["b"] == "node 'second' would be in the cloud; pin_edge keeps it on the edge"


def test_leaks_stay_among_the_rejected() -> None:
    found = search(places(SLOW, FAST), RESIDUAL, max_tensors=1)
    reasons = {cut.names: cut.reason for cut in found.rejected}
    assert "value 'a' also crosses" in reasons[("b",)]


def test_measured_bytes_decide_against_the_prediction() -> None:
    """Predicted, f and e cost the same; the measurement makes one of the larger cuts tiny."""
    found = search(places(FAST, FAST, THIN), measure=lambda cut: 1.0 if cut.names == ("c",) else 1000.0)
    assert found.best_cut.cut == ("c",)
    assert found.best_cut.payload_bytes == 1.0


def test_only_the_best_are_measured() -> None:
    asked = []
    search(places(), measure=lambda cut: asked.append(cut.names) or 10.0, candidates=2)
    assert len(asked) == 2


@pytest.mark.parametrize("names", [("d",), ("b",)], ids=",".join)
def test_a_cut_that_was_asked_for_is_priced_alone(names: tuple[str, ...]) -> None:
    found = search(places(), at=list(names))
    assert found.best_cut.cut == names
    assert (found.points, found.rejected) == ((found.best_cut,), ())
    assert len(found.baselines) == 2


def test_two_tensors_can_be_asked_for() -> None:
    found = search(places(), RESIDUAL, at=["b", "a"])
    assert found.best_cut.cut == ("b", "a")
    assert found.best_cut.feature_bytes == 2 * 4 * 4 * 8 * 8


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(
            {"pin_edge": ["last"]}, "none of 6 cuts satisfies the pins, min_depth and memory", id="nothing-left"
        ),
        pytest.param({"pin_edge": ["second"], "pin_cloud": ["first"]}, "none of 6 cuts", id="contradiction"),
        pytest.param({"min_depth": 1.0}, "none of 6 cuts", id="all-on-the-edge"),
        pytest.param({"at": ["x"]}, "so the head would be empty", id="input"),
        pytest.param({"at": ["nope"]}, "no value is called 'nope'", id="unknown"),
    ],
)
def test_what_cannot_be(asked: dict, words: str) -> None:
    with pytest.raises(CutError, match=words):
        search(places(), **asked)


def work_of_the_chain() -> list[Callable[[Device], float]]:
    """Roofline milliseconds of the four groups, by hand: flops, then bytes of weights and of activations moved."""
    groups = [
        (2 * 64 * 8 * 36 + 64 * 8, 8 * 36 + (256 + 512)),
        (2 * 16 * 16 * 72 + 16 * 16, 16 * 72 + (512 + 256)),
        (256, 256 + 16),
        (2 * 16 * 2 + 2, 2 * 16 + 2 + (16 + 2)),
    ]
    return [lambda device, flops=flops, size=size: roofline_ms(device, flops, 4 * size) for flops, size in groups]


def test_the_price_is_the_sum_of_its_parts() -> None:
    """Each stage by the cost model's own functions, at the byte counts written above."""
    link = Link(uplink_mbps=8, rtt_ms=10)
    point = search(places(SLOW, FAST, link), at=["c"]).best_cut
    model = model_of(CHAIN)
    first, second, pool, last = work_of_the_chain()
    head = 2 * 64 * 8 * 36 + 64 * 8 + 2 * 16 * 16 * 72  # two convolutions without bias and one ReLU
    load = point.load
    assert (load.head_flops, load.tail_flops) == (head, model.flops - head)
    assert (load.head_parameters, load.tail_parameters) == (8 * 36 + 16 * 72, 2 * 16 + 2)
    assert load.edge_memory_bytes == 4 * (load.head_parameters + 2 * 8 * 64)  # while the first ReLU runs
    assert (point.feature_bytes, point.payload_bytes) == (1024, 64.0)
    times = point.latency
    assert times.edge_ms == pytest.approx(2 * (first(SLOW) + second(SLOW)), rel=1e-12)  # half of each peak is reached
    assert times.cloud_ms == pytest.approx(2 * (pool(FAST) + last(FAST)), rel=1e-12)
    assert (times.encode_ms, times.decode_ms) == (codec_ms(256, 415), codec_ms(256, 170))  # rANS
    assert times.wire_ms == pytest.approx(10 + 64 * 8 / 8e3, rel=1e-12)
    parts = (times.edge_ms, times.encode_ms, times.wire_ms, times.decode_ms, times.cloud_ms)
    assert times.total_ms == pytest.approx(sum(parts), rel=1e-12)


def test_baselines() -> None:
    link = Link(uplink_mbps=8, rtt_ms=10)
    model = model_of(CHAIN)
    edge, cloud = search(places(SLOW, FAST, link)).baselines
    assert (edge.name, cloud.name) == ("edge only", "cloud only, 8-bit input uncompressed")
    assert edge.latency.total_ms == pytest.approx(2 * sum(one(SLOW) for one in work_of_the_chain()), rel=1e-12)
    assert (edge.payload_bytes, cloud.payload_bytes) == (0.0, 4 * 8 * 8)
    assert (edge.load.head_flops, cloud.load.tail_flops) == (model.flops, model.flops)
    assert cloud.latency.wire_ms == pytest.approx(10 + 256 * 8 / 8e3, rel=1e-12)


def test_an_input_that_is_no_picture_travels_in_its_own_type() -> None:
    ask = Ask(SplitSection(), (OPTION,))
    raw = plan.search(model_of(CHAIN), ask, places(), None).baselines[1]
    assert (raw.name, raw.payload_bytes) == ("cloud only, float32 input uncompressed", 4 * 4 * 8 * 8)


def test_every_coder_has_its_speed() -> None:
    for name in ENTROPY_CODERS:
        coder = ENTROPY_CODERS.load(name)
        assert any("speed_mels" in vars(cls) for cls in coder.mro()[: coder.mro().index(EntropyCoder)]), name
        assert min(coder.speed_mels) > 0
    assert (
        "Encoding is assumed to run at 415 and decoding at 170 million elements a second (rans" in search(places()).note
    )


def test_the_least_wrong_is_chosen_where_nothing_is_allowed() -> None:
    """Pins forbid the ways without a cut, so their perfect answers do not make one of them the choice."""
    right = dict.fromkeys("abcdef", 13) | {"c": 14, "d": 14}
    ask = Ask(SplitSection(pin_edge=("first",), pin_cloud=("last",)), (OPTION,), 0.97)
    found = plan.search(
        model_of(CHAIN), ask, places(), lambda cut, _: Measurement(cut.wire_bytes, right[cut.names[0]] / 16, None, 16)
    )
    assert found.best_cut.cut in {("c",), ("d",)}
    assert found.chosen == found.best_cut
    assert not found.chosen.reason
    assert all(one.reason == one.refused for one in found.baselines)
    assert not any(one.reason == one.refused for one in found.points)


def test_a_measured_element_type_prices_no_other() -> None:
    where = places()
    layers = {"fp32": {"b": 5.0, "d": 7.0}}
    prices = Prices(model_of(CHAIN), Places(SLOW, FAST, THICK, edge_layers=layers))
    assert prices.edge_ms("fp32") == 12.0
    plain = Prices(model_of(CHAIN), Places(device("slow", 1e-4, 1), FAST, THICK, edge_layers={"fp16": {"b": 5.0}}))
    assert plain.edge_ms("fp32") == Prices(model_of(CHAIN), where).edge_ms("fp32")


@pytest.mark.parametrize(
    ("where", "faster"),
    [
        pytest.param(places(FAST, SLOW, THIN), ["edge only"], id="edge-only"),
        pytest.param(places(SLOW, FAST, THICK), ["cloud only, 8-bit input uncompressed"], id="cloud-only"),
    ],
)
def test_the_note_says_when_no_cut_is_faster(where: Places, faster: list[str]) -> None:
    found = search(where)
    truly = [one.name for one in found.baselines if one.latency.total_ms < found.best_cut.latency.total_ms]
    assert truly == faster
    assert f"Predicted better than this cut: {faster[0]} (" in found.note


def test_the_note_is_silent_when_the_cut_is_fastest() -> None:
    """A weak edge does half of the work, one byte crosses a link that the picture would take 205 ms on."""
    where = places(device("weak", 1e-6, 1), FAST, Link(uplink_mbps=0.01, rtt_ms=0))
    found = search(where, measure=lambda cut: 1.0, at=["a"])
    assert found.best_cut.latency.total_ms < min(one.latency.total_ms for one in found.baselines)
    assert "Predicted for one sample alone" in found.note
    assert "Predicted better" not in found.note


def test_json_is_flat_with_units() -> None:
    document = search(places(), candidates=2).to_json()
    names = {"chosen", "best_cut", "points", "baselines", "rejected", "objective", "proven", "note"}
    assert document.keys() == names | {"verdict", "divergence_unit", "input_bytes"}
    times = {"edge_ms", "encode_ms", "wire_ms", "decode_ms", "cloud_ms", "total_ms"}
    assert document["best_cut"].keys() >= times | {"cut", "payload_bytes", "feature_bytes", "head_flops", "is_measured"}
    assert document["best_cut"] in document["points"]
    assert document["chosen"] in [*document["points"], *document["baselines"]]
    assert all(one.keys() == document["best_cut"].keys() for one in document["baselines"])
    assert all(one.keys() == {"names", "reason"} and one["reason"] for one in document["rejected"])
    assert document["best_cut"]["cut"] == ["b"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param({"min_depth": 1.0}, "of the FLOPs on the edge, min_depth asks for 100.0%", id="depth"),
        pytest.param({"pin_cloud": ["second"]}, "node 'second' would be on the edge", id="cloud"),
        pytest.param({"pin_edge": ["last"]}, "node 'last' would be in the cloud", id="edge"),
    ],
)
def test_a_named_cut_keeps_the_constraints_too(asked: dict, words: str) -> None:
    with pytest.raises(CutError, match=words):
        search(places(), at=["d"], **asked)


@pytest.mark.parametrize("key", ["pin_edge", "pin_cloud"])
@pytest.mark.parametrize("at", ["auto", ["d"]])
def test_a_glob_that_matches_no_node_is_refused(key: str, at: object) -> None:
    with pytest.raises(CutError, match=rf"split.{key}: 'secnod\*' matches no node of the model \(such as 'first'\)"):
        search(places(), at=at, **{key: ["secnod*"]})


def test_a_model_without_cuts_says_why() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }'
    with pytest.raises(CutError, match=r"no cut that a codec can take: y: it is the only output of the model"):
        search(places(), text)


def test_a_scalar_is_no_cut_for_a_codec() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[2,4] x) => (float[2,4] y) { a = Relu(x)  b = ReduceMax<keepdims = 0>(a)  c = Neg(b)  y = Expand(c, s) }
    """.replace("(float[2,4] y) {", "(float[2,4] y) <int64[2] s = {2, 4}> {")
    found = search(places(), text)
    assert found.best_cut.cut == ("a",)
    reasons = {cut.names: cut.reason for cut in found.rejected}
    assert "is a scalar" in reasons[("b",)]
    with pytest.raises(CutError, match=r"cut \[b\]: value 'b' is a scalar; .* choose a"):
        search(places(), text, at=["b"])


def measured_as(fidelity: dict[str, float], sent: float = 10.0) -> Callable:
    """Every cut sends the same; its answers are as the table says."""
    return lambda cut, _: Measurement(sent, fidelity[cut.names[0]], divergence=1 - fidelity[cut.names[0]])


def test_more_cuts_are_measured_while_none_has_good_answers() -> None:
    """The two cheapest change every other answer; as many again are looked at until one does not."""
    right = dict.fromkeys("abcdef", 0.5) | {"f": 0.95}
    asked = []

    def measure(cut: graph.CandidateCut, option: Option) -> Measurement:
        asked.append(cut.names[0])
        return measured_as(right)(cut, option)

    ask = Ask(SplitSection(candidates=2), (OPTION,))
    found = plan.search(model_of(CHAIN), ask, places(SLOW, FAST, THICK), measure)
    assert found.best_cut.cut == ("f",)
    assert 2 < len(asked) <= 6
    few = plan.search(model_of(CHAIN), ask, places(SLOW, FAST, THICK), measured_as(dict.fromkeys("abcdef", 0.95)))
    assert len(few.points) == 2


def test_a_cut_that_cannot_be_coded_after_all_is_rejected_and_others_are_tried() -> None:
    def measure(cut: graph.CandidateCut, _: Option) -> Measurement:
        if cut.names == ("b",):
            raise CutError("cut ['b']: not today.")
        return Measurement(10.0, 1.0, divergence=0.0)

    found = plan.search(model_of(CHAIN), Ask(SplitSection(), (OPTION,)), places(SLOW, FAST, THICK), measure)
    assert found.best_cut.cut != ("b",)
    assert {cut.names: cut.reason for cut in found.rejected}[("b",)] == "cut ['b']: not today."
    with pytest.raises(CutError, match="not today"):
        plan.search(model_of(CHAIN), Ask(SplitSection(at=("b",)), (OPTION,)), places(), measure)


def test_auto_never_picks_a_cut_that_sends_more_than_the_input() -> None:
    """256 bytes as pixels. Where the input must not be sent, the bound means nothing."""
    found = search(places(SLOW, FAST, THICK), measure=lambda cut: 300.0 if cut.names in {("a",), ("b",)} else 200.0)
    assert found.input_bytes == 256
    assert found.best_cut.cut not in {("a",), ("b",)}
    assert found.best_cut.payload_bytes == 200.0
    reasons = {point.cut: point.refused for point in found.points}
    assert reasons[("b",)] == "it sends 300 bytes, the input itself has 256"
    assert not any(one.refused for one in search(places(), measure=lambda cut: 300.0, pin_edge=["first"]).points)
    named = search(places(), measure=lambda cut: 300.0, at=["b"])
    assert not named.best_cut.refused
    assert "more than the input itself has" in named.verdict.warnings[0]


def coded_at(asked: list[float]) -> Callable:
    """A coding whose bytes fall as the divergence grows; what it was asked is noted."""

    def code_input(divergence: float, precision: str) -> list[CodedInput]:
        asked.append(divergence)
        found = Measurement(1 / divergence, max(0.0, 1 - divergence), divergence=divergence, samples=100)
        return [CodedInput(f"JPEG {divergence:g}", found, encode_ms=2.0, decode_ms=3.0)]

    return code_input


@pytest.mark.parametrize(
    ("limits", "fidelity", "asked"),
    [
        pytest.param({}, 1.0, [0.04], id="of-the-best-cut"),
        pytest.param({"max_divergence": 0.06}, 1.0, [0.06], id="of-the-limit"),
        pytest.param({"equal_divergence": 0.02}, 1.0, [0.04, 0.02], id="of-all-links"),
        pytest.param({"max_divergence": 0.06, "equal_divergence": 0.02}, 1.0, [0.06], id="the-limit-is-of-all-links"),
        pytest.param({"min_fidelity": 0.995}, 1.0, [0.04], id="as-good-as-a-cut-that-keeps-the-limit"),
        pytest.param({"min_fidelity": 0.995}, 0.5, [0.04, 0.02, 0.01], id="finer-where-a-limit-is-surely-missed"),
    ],
)
def test_codings_of_the_input_are_compared_at_equal_divergence(
    limits: dict, fidelity: float, asked: list[float]
) -> None:
    known: list[float] = []
    ask = Ask(SplitSection(), (OPTION,), **limits)
    found = plan.search(
        model_of(CHAIN), ask, places(), lambda *_: Measurement(9.0, fidelity, divergence=0.04), coded_at(known)
    )
    assert known[: len(asked)] == asked
    row = found.baselines[-1]
    assert not row.refused
    assert row.divergence == known[-1]
    assert row.payload_bytes == 1 / known[-1]
    assert (row.latency.encode_ms, row.latency.decode_ms) == (2.0, 3.0)


def test_the_verdict_is_at_the_divergence_of_its_own_cut() -> None:
    ask = Ask(SplitSection(), (OPTION,), equal_divergence=0.02)
    found = plan.search(model_of(CHAIN), ask, places(), lambda *_: Measurement(9.0, 1.0, divergence=0.04), coded_at([]))
    assert found.baselines[-1].divergence == 0.02
    assert {one.divergence for one in found.verdict.rivals if "JPEG" in one.name} == {0.04}


@pytest.mark.parametrize(("limit", "refused"), [(None, ""), (0.995, "its fidelity is 90 of 100 samples")])
def test_a_coding_that_never_gets_as_close_is_judged_by_its_own_answers(limit: float | None, refused: str) -> None:
    """WebP has no finer setting than this one."""

    def code_input(divergence: float, precision: str) -> list[CodedInput]:
        return [CodedInput("WebP quality 100", Measurement(5.0, 0.9, divergence=0.3, samples=100))]

    found = plan.search(
        model_of(CHAIN),
        Ask(SplitSection(), (OPTION,), limit),
        places(),
        lambda *_: Measurement(9.0, 1.0, divergence=0.04),
        code_input,
    )
    assert found.baselines[-1].refused.startswith(refused)
    assert bool(found.baselines[-1].refused) == bool(refused)
