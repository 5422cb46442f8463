"""The search against brute force over every subset of values of ten small graphs, and what a plan must never be."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from itertools import combinations, product

import onnx_ir as ir
import pytest
from onnx import parser

from splitc import graph, plan
from splitc.codec import CodecSpec
from splitc.device import Device, Link, layer_ms
from splitc.errors import CutError
from splitc.plan import Ask, Measurement, Option, Places
from splitc.plan.coding import coding_ms
from splitc.plan.objective import with_pareto
from splitc.recipe import SplitSection

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
GRAPHS = {
    "chain": "g (float[1,4,8,8] x) => (float[1,4] y) <float[8,4,3,3] w, float[4,8,1,1] v> {"
    "a = Conv<pads=[1,1,1,1]>(x, w) b = Relu(a) c = Conv(b, v) d = GlobalAveragePool(c) y = Flatten(d) }",
    "residual": "g (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[4,4,3,3] w> {"
    "a = Relu(x) b = Conv<pads=[1,1,1,1]>(a, w) c = Add(a, b) d = Sigmoid(c) y = Mul(c, d) }",
    "waist": "g (float[1,16,8,8] x) => (float[1,16,8,8] y) <float[1,16,1,1] w, float[16,1,1,1] v> {"
    "a = Conv(x, w) b = Relu(a) c = Conv(b, v) y = Sigmoid(c) }",
    "two-branches": "g (float[1,8,8,8] x) => (float[1,8,4,4] y) <float[8,8,1,1] w, float[8,8,3,3] v> {"
    "s = Relu(x) a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(s) b = Conv(a, w)"
    " c = Conv<pads=[1,1,1,1], strides=[2,2]>(s, v) d = Relu(c) e = Add(b, d) y = Sigmoid(e) }",
    "two-outputs": "g (float[1,4,8,8] x) => (float[1,4] y, float[1,2,8,8] z) <float[4,4,1,1] w, float[2,4,1,1] v> {"
    "a = Conv(x, w) b = Relu(a) c = GlobalAveragePool(b) y = Flatten(c) z = Conv(b, v) }",
    "two-inputs": "g (float[1,4,8,8] x, float[1,4,8,8] u) => (float[1,4,8,8] y) <float[4,4,1,1] w> {"
    "a = Conv(x, w) b = Relu(u) c = Add(a, b) d = Relu(c) y = Sigmoid(d) }",
    "concat": "g (float[1,4,8,8] x) => (float[1,8] y) <float[2,4,1,1] w, float[6,4,3,3] v> {"
    "a = Conv(x, w) b = Conv<pads=[1,1,1,1]>(x, v) c = Concat<axis=1>(a, b) d = Relu(c)"
    " e = GlobalAveragePool(d) y = Flatten(e) }",
    "squeeze-excite": "g (float[1,8,8,8] x) => (float[1,8,8,8] y) <float[8,8,3,3] w, float[8,8,1,1] v> {"
    "a = Conv<pads=[1,1,1,1]>(x, w) b = GlobalAveragePool(a) c = Conv(b, v) d = Sigmoid(c) y = Mul(a, d) }",
    "perceptron": "g (float[1,32] x) => (float[1,4] y) <float[32,16] w, float[16,8] v, float[8,4] u> {"
    "a = MatMul(x, w) b = Relu(a) c = MatMul(b, v) d = Relu(c) y = MatMul(d, u) }",
    "depthwise": "g (float[1,8,16,16] x) => (float[1,8,4,4] y) <float[8,1,3,3] w, float[4,8,1,1] v, float[8,4,3,3] u> {"
    "a = Conv<pads=[1,1,1,1], strides=[2,2], group=8>(x, w) b = Relu(a) c = Conv(b, v)"
    " d = Conv<pads=[1,1,1,1], strides=[2,2]>(c, u) y = Relu(d) }",
}
OPTIONS = tuple(Option(CodecSpec(bits=bits)) for bits in (2, 4, 8))
MOST_TENSORS = 3


def device(tflops: float, gb_s: float) -> Device:
    sources = dict.fromkeys(["bandwidth_gb_s", "peak_tflops.fp32", "power_w"], "made up")
    return Device(name="d", title="d", bandwidth_gb_s=gb_s, peak_tflops={"fp32": tflops}, power_w=5, sources=sources)


EDGES = {"slow": device(1e-6, 0.01), "fast": device(1e-4, 1)}
CLOUD = device(50, 900)
LINKS = (0.01, 0.3, 10, 300)
CASES = list(product(GRAPHS, EDGES, LINKS))


def model_of(name: str) -> graph.Model:
    proto = parser.parse_model(HEAD + GRAPHS[name])
    for info in proto.graph.value_info:
        dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        proto.graph.initializer.add(name=info.name, data_type=1, dims=dims, raw_data=bytes(4 * math.prod(dims)))
    del proto.graph.value_info[:]
    return graph.model_from_ir(ir.from_proto(proto))


def packet(names: tuple[str, ...], wire_bytes: int, option: Option) -> float:
    """Bytes that no prediction foresees, the same each time: 20 to 100 % of k-bit packing."""
    noise = zlib.crc32(f"{sorted(names)} {option.bits}".encode()) / 2**32
    return (0.2 + 0.8 * noise) * wire_bytes * (option.bits or 4) / 32


def found_by(name: str, edge: str, mbps: float, **asked: object) -> plan.Plan:
    split = SplitSection.model_validate({"candidates": 256, "max_tensors": MOST_TENSORS, **asked})
    places = Places(EDGES[edge], CLOUD, Link(uplink_mbps=mbps, rtt_ms=1, radio_w=0.5))

    def measure(cut: graph.CandidateCut, option: Option) -> Measurement:
        return Measurement(packet(cut.names, cut.wire_bytes, option))

    return plan.search(model_of(name), Ask(split, OPTIONS), places, measure)


def brute_force_ms(name: str, edge: str, mbps: float) -> float:
    """The least time over every set of values that separates inputs from outputs and that a codec can take."""
    model = model_of(name)
    work, link = graph.work_of(model), Link(uplink_mbps=mbps, rtt_ms=1)
    best = math.inf
    for names in subsets(model):
        head, tail = graph.cut_sides(model, names)
        elements = graph.price_cut(model, names).wire_bytes // 4
        for option in OPTIONS:
            total = sum(node_ms(EDGES[edge], work, index) for index in head)
            total += sum(node_ms(CLOUD, work, index) for index in tail)
            total += sum(coding_ms(option.spec, elements)) + link.wire_ms(packet(names, 4 * elements, option))
            best = min(best, total)
    return best


def node_ms(where: Device, work: tuple[graph.Work, ...], index: int) -> float:
    one = work[index]
    if one.kind == "none" or one.leader != index:
        return 0.0
    return layer_ms(where, one.kind, one.flops, 4 * one.weights, 4 * one.moved)


def subsets(model: graph.Model) -> list[tuple[str, ...]]:
    """Every cut of up to three values, inputs among them, proven one by one. None has a member to spare: sending an
    input and beside it what is computed from that input alone is no cut but a wasted send.
    """
    made = [value.name or "" for value in model.flow.inputs]
    made += [node.outputs[0].name or "" for node in model.flow.nodes]
    every = [names for size in range(1, MOST_TENSORS + 1) for names in combinations(made, size)]
    parting = {frozenset(names) for names in every if separates(model, names)}
    minimal = [names for names in every if frozenset(names) in parting and not has_spare(frozenset(names), parting)]
    return [names for names in minimal if is_cut(model, names)]


def has_spare(names: frozenset[str], parting: set[frozenset[str]]) -> bool:
    return any(names - {one} in parting for one in names)


def separates(model: graph.Model, names: tuple[str, ...]) -> bool:
    """Whether no output can be reached from an input around ``names``."""
    reached = {value for value in model.flow.inputs if value.name not in names}
    for node, read in zip(model.flow.nodes, model.flow.reads, strict=True):
        if not reached.isdisjoint(read):
            reached.update(value for value in node.outputs if value.name not in names)
    return reached.isdisjoint(model.flow.outputs)


def is_cut(model: graph.Model, names: tuple[str, ...]) -> bool:
    try:
        graph.check_codable(model, graph.check_cut(model, names))
    except CutError:
        return False
    return True


@pytest.mark.parametrize("name", GRAPHS)
def test_the_search_finds_what_brute_force_finds(name: str) -> None:
    for edge, mbps in product(EDGES, LINKS):
        found = found_by(name, edge, mbps)
        assert found.is_proven
        assert found.best_cut.latency.total_ms == pytest.approx(brute_force_ms(name, edge, mbps), rel=1e-9), (
            edge,
            mbps,
        )


@pytest.mark.parametrize("objective", ["latency", "energy", "uplink", "throughput"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_plan_is_never_worse_than_a_way_without_a_cut(name: str, objective: str) -> None:
    for edge, mbps in product(EDGES, LINKS):
        found = found_by(name, edge, mbps, objective=objective)
        merit = {
            "latency": lambda way: way.latency.total_ms,
            "energy": lambda way: way.energy_mj,
            "uplink": lambda way: way.payload_bytes,
            "throughput": lambda way: -way.throughput_per_s,
        }[objective]
        assert merit(found.chosen) == min(map(merit, [*found.points, *found.baselines]))
        assert not found.chosen.reason
        assert all(way.reason for way in [*found.points, *found.baselines] if way is not found.chosen)


@pytest.mark.parametrize("name", GRAPHS)
def test_few_candidates_are_proven_or_say_that_they_are_not(name: str) -> None:
    """Where a search of one candidate says that it is proven, a search of all finds nothing better."""
    for edge, mbps in product(EDGES, LINKS):
        few, all_of_them = found_by(name, edge, mbps, candidates=1), found_by(name, edge, mbps)
        better = all_of_them.best_cut.latency.total_ms < few.best_cut.latency.total_ms
        assert not (few.is_proven and better)


def test_the_pareto_set_is_what_nothing_beats() -> None:
    found = found_by("two-branches", "slow", 0.3)
    for point in found.points:
        beaten = any(
            other.latency.total_ms <= point.latency.total_ms
            and other.latency.period_ms <= point.latency.period_ms
            and other.payload_bytes < point.payload_bytes
            and (other.energy_mj or 0) <= (point.energy_mj or 0)
            for other in [*found.points, *found.baselines]
        )
        assert not (point.is_pareto and beaten)
    assert any(point.is_pareto for point in [*found.points, *found.baselines])


def test_memory_decides() -> None:
    """The edge holds the first convolution and its activations, and no more."""
    whole = found_by("chain", "fast", 0.01)
    first = next(point for point in whole.points if point.cut == ("a",)).load.edge_memory_bytes
    found = found_by("chain", "fast", 0.01, edge_memory=first)
    assert {point.cut for point in found.points} >= {("a",)}
    assert all(point.load.edge_memory_bytes <= first for point in found.points)
    edge = found.baselines[0]
    assert "of memory, split.edge_memory allows" in edge.refused
    assert found.chosen.name != "edge only"
    with pytest.raises(CutError, match=r"none of .* cuts satisfies the pins, min_depth and memory"):
        found_by("chain", "fast", 0.01, edge_memory=10)


def test_energy_needs_a_power() -> None:
    bare = EDGES["slow"].model_copy(update={"power_w": None})
    ask = Ask(SplitSection(objective="energy"), OPTIONS)
    for edge, link in ((bare, Link(uplink_mbps=1, radio_w=1)), (EDGES["slow"], Link(uplink_mbps=1))):
        with pytest.raises(CutError, match="the edge's device profile has no power_w, or the link no radio_w"):
            plan.search(model_of("chain"), ask, Places(edge, CLOUD, link), None)
    found = plan.search(model_of("chain"), Ask(SplitSection(), OPTIONS), Places(EDGES["slow"], CLOUD, link), None)
    assert [way.energy_mj is None for way in found.baselines] == [False, True]  # sending is never free
    assert "the link has no radio_w" in found.note


def fidelity_search(worth: dict[str, tuple[int, int]], **asked: object) -> plan.Plan:
    """The chain, each of whose cuts agrees on so many of so many samples."""
    split = SplitSection.model_validate(asked)
    places = Places(EDGES["fast"], CLOUD, Link(uplink_mbps=0.01))

    def measure(cut: graph.CandidateCut, option: Option) -> Measurement:
        right, samples = worth[cut.names[0]]
        return Measurement(cut.wire_bytes / 8, right / samples, None, samples)

    return plan.search(model_of("chain"), Ask(split, OPTIONS[:1], 0.97), places, measure)


def test_few_samples_refuse_only_what_is_surely_wrong() -> None:
    """15 of 16 may be 0.97 in truth, 13 of 16 cannot: the upper end of Wilson's interval is 0.9341."""
    found = fidelity_search({"a": (13, 16), "b": (15, 16), "c": (13, 16), "d": (13, 16)})
    assert found.best_cut.cut == ("b",)
    words = "its fidelity is 13 of 16 samples, at most 0.9341 (95 % confidence), min_fidelity asks for 0.9700"
    assert {one.refused for one in found.points} == {words, ""}
    assert "The best cut agrees on 15 of 16 samples of calibration, less than min_fidelity 0.9700" in found.note


def test_where_no_cut_is_good_enough_the_most_faithful_is_the_best() -> None:
    """As with the quickstart: the cheapest answers worst, and "refused" tells none of them from the others."""
    found = fidelity_search({"a": (14, 16), "b": (14, 16), "c": (13, 16), "d": (8, 16)})
    assert found.best_cut.cut in {("a",), ("b",)}
    assert found.best_cut.refused
    assert not found.is_proven
    assert f"No measured cut keeps min_fidelity on the calibration samples; of the best, {found.best_cut.refused}" in (
        found.note
    )
    reasons = {one.names: one.reason for one in found.rejected}
    assert reasons[("d",)] == (
        f"its fidelity is 8 of 16 samples, {found.best_cut.name} has 14 of 16 samples, and neither is enough"
    )
    assert not found.chosen.cut  # a way without a cut keeps the limit, and says so
    assert all(point.reason == point.refused for point in found.points)


def test_what_is_not_known_beats_only_what_is_not_known() -> None:
    """Half precision without samples: faster than float32, and no better until it is measured."""
    point = found_by("chain", "fast", 1).points[0]
    slower = replace(point.latency, edge_ms=point.latency.edge_ms + 1)
    unknown = replace(point, fidelity=None)
    known = replace(point, fidelity=0.9, latency=slower)
    worse = replace(point, fidelity=None, latency=slower)
    assert [one.is_pareto for one in with_pareto([unknown, known, worse])] == [True, True, False]


def test_fidelity_decides() -> None:
    """Two bits are cheapest and not good enough."""
    worth = {2: 0.5, 4: 0.98, 8: 1.0}
    ask = Ask(SplitSection(), OPTIONS, min_fidelity=0.95)
    places = Places(EDGES["slow"], CLOUD, Link(uplink_mbps=0.01))
    found = plan.search(
        model_of("waist"),
        ask,
        places,
        lambda cut, option: Measurement(cut.wire_bytes * (option.bits or 0) / 32, worth[option.bits or 0]),
    )
    assert found.best_cut.bits == 4
    refused = [point for point in found.points if point.bits == 2]
    assert {point.reason for point in refused} == {"its fidelity is 0.5000, min_fidelity asks for 0.9500"}
    assert not any(point.is_pareto for point in refused)


def test_without_samples_packets_are_estimates() -> None:
    ask = Ask(SplitSection(), OPTIONS)
    found = plan.search(model_of("chain"), ask, Places(EDGES["slow"], CLOUD, Link(uplink_mbps=1)), None)
    assert not any(point.is_measured for point in found.points)
    assert "Packet sizes are estimates: no samples were given." in found.note
