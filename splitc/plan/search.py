"""Choose where to cut and how to code: predict every pair, measure the real bytes of the best cuts, take the best.

cuts x options ──► pins, depth, memory ──► predicted ──► K best cuts ──► measured ──► chosen, beside edge and cloud only
                            │                   │                            │
                            └───────────────────┴──── rejected, with reasons ◄┘
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from splitc.errors import CutError
from splitc.graph import (
    CandidateCut,
    Model,
    RejectedCut,
    cuts_of_every_order,
    enumerate_cuts,
    price_cut,
    with_sizes,
)
from splitc.plan.ask import (
    USUAL_BITS,
    Ask,
    CodeInput,
    Measure,
    MeasureWhole,
    Option,
    Places,
    no_codings,
    unmeasured_whole,
)
from splitc.plan.baselines import BaselineInputs, cloud_only, edge_only
from splitc.plan.coding import coding_ms, coding_words
from splitc.plan.confidence import fidelity_reason, fidelity_text
from splitc.plan.constraints import constrain, constraint_reason, memory_reason, refuse_idle_pins
from splitc.plan.layouts import check_asked, refusing, unfit_reason
from splitc.plan.objective import cost, price, rank, with_pareto
from splitc.plan.plan import Latency, Load, Plan, Point
from splitc.plan.prices import Prices

EXPECTED_SHARE = 0.85
"""Expected packet over k-bit packing, for ranking before anything is measured."""
FLOAT_BYTES = 4
PEAKS = "a roofline of the device's published peak and bandwidth"
FITTED = "rates fitted to measured layers"
MEASURED = "measured times of this model's layers"
SCALED = "this model's measured time, spread over its layers as predicted (no layer of the profile names their nodes)"
REAL, ESTIMATED = "Packet sizes are real for the cuts shown.", "Packet sizes are estimates: no samples were given."


@dataclass(frozen=True)
class _Pair:
    """A cut with one option, priced with an expected packet."""

    cut: CandidateCut
    option: Option
    point: Point


def search(
    model: Model,
    ask: Ask,
    places: Places,
    measure: Measure | None,
    code_input: CodeInput = no_codings,
    measure_whole: MeasureWhole = unmeasured_whole,
) -> Plan:
    """Find the cut and the codec, or price the cut asked for.

    Args:
        model: The whole model.
        ask: The cut or "auto", the options and the limits.
        places: Devices, link and measured layers.
        measure: Gives a pair's real bytes; called for the best cuts only. None: packets stay estimates.
        code_input: Gives the smallest coding of the input itself that is good enough, for the rows without a cut.
        measure_whole: Gives what the unsplit model is worth in an element type, for the same rows.

    Raises:
        CutError: The cut asked for is none, no candidate satisfies the constraints, or the objective is energy and a
            power is not known.
    """
    refuse_idle_pins(model, ask.split)
    sized, objective = with_sizes(model, ask.sizes), ask.split.objective
    prices = Prices(sized, places)
    cuts, rejected = _cuts(model, ask)
    cuts = cuts if sized is model else [_as_sized(sized, cut) for cut in cuts]
    allowed, too_big = _fitting(model, cuts, ask, places, prices)
    if not allowed:
        raise CutError(f"split.at = {_asked(ask)}: {_why_none(len(cuts), too_big, rejected)}")
    measured, rest = _best_and_rest(allowed, ask)
    points = [_measured(pair, ask, places, prices, measure) for pair in measured]
    winner = min(range(len(points)), key=lambda index: rank(points[index], objective))
    without_cut = BaselineInputs(sized, ask, places, prices, measure_whole)
    baselines = [*edge_only(without_cut), *cloud_only(without_cut, code_input, points[winner])]
    missed = [_unmeasured(pair.point, ask) for pair in _one_a_cut(rest, objective)]
    reasons = (*_losers(points, points[winner], objective), *missed, *too_big, *rejected)
    is_proven = _is_proven(points[winner], rest, places, prices, objective)
    note = _note(measured[winner].option, points[winner], baselines, places, ask)
    return _compared([*points, *baselines], winner, ask, rejected=reasons, is_proven=is_proven, note=note)


def _best_and_rest(allowed: Sequence[_Pair], ask: Ask) -> tuple[list[_Pair], list[_Pair]]:
    """Pairs of the ``split.candidates`` best cuts, the best cut first, and all other pairs."""
    ranked = [pair.cut.names for pair in _ranked(_one_a_cut(allowed, ask.split.objective), ask.split.objective)]
    best = {names: place for place, names in enumerate(ranked[: ask.split.candidates])}
    measured = sorted((pair for pair in allowed if pair.cut.names in best), key=lambda pair: best[pair.cut.names])
    return measured, [pair for pair in allowed if pair.cut.names not in best]


def _compared(
    ways: Sequence[Point], winner: int, ask: Ask, *, rejected: tuple[RejectedCut, ...], is_proven: bool, note: str
) -> Plan:
    """The plan among these ways, each with its reason; ``winner`` is the index of the best one that has a cut."""
    judged = _judged(ways, ask)
    return Plan(
        chosen=next(way for way in judged if not way.reason),
        best_cut=judged[winner],
        points=tuple(sorted((way for way in judged if way.cut), key=lambda point: point.load.head_flops)),
        baselines=tuple(way for way in judged if not way.cut),
        rejected=rejected,
        objective=ask.split.objective,
        is_proven=is_proven,
        note=note,
    )


def _is_proven(best: Point, rest: Sequence[_Pair], places: Places, prices: Prices, objective: str) -> bool:
    """Whether no pair that was not measured could beat the best one, even with an empty packet."""
    if not best.is_measured or best.refused:
        return False
    return all(_least(pair, places, prices, objective) >= cost(best, objective)[0] for pair in rest)


def _cuts(model: Model, ask: Ask) -> tuple[list[CandidateCut], list[RejectedCut]]:
    """Cuts that keep pins and depth, and everything else with its reason."""
    if ask.split.at != "auto":
        return [_named(model, ask)], []
    refuse = refusing([option.spec for option in ask.options], ask.split)
    listed = enumerate_cuts(model, ask.split.max_tensors, refuse)
    every = (*listed.candidates, *cuts_of_every_order(model, ask.split.max_tensors, listed.candidates, refuse))
    cuts, refused = constrain(model, every, ask.split)
    if not cuts:
        why = _why_none(len(every), refused, [*refused, *listed.rejected])
        raise CutError(f"split.at = 'auto': {why}")
    return cuts, [*refused, *listed.rejected]


def _named(model: Model, ask: Ask) -> CandidateCut:
    """The cut asked for by name, once it is proven and keeps the constraints."""
    names = ask.split.at
    check_asked(model, [option.spec for option in ask.options], ask.split)
    cut = price_cut(model, names)
    if reason := constraint_reason(model, cut, ask.split):
        raise CutError(f"split.at = {list(names)}: {reason}.")
    return cut


def _as_sized(sized: Model, cut: CandidateCut) -> CandidateCut:
    """The same cut with its costs at usual sizes; its shapes keep the names of dynamic dimensions."""
    costs = price_cut(sized, cut.names)
    return replace(costs, shapes=cut.shapes)


def _asked(ask: Ask) -> str:
    return "'auto'" if ask.split.at == "auto" else str(list(ask.split.at))


def _why_none(count: int, refused: Sequence[RejectedCut], rejected: Sequence[RejectedCut]) -> str:
    if refused:
        return f"none of {count} cuts satisfies the pins, min_depth and memory; relax one ({refused[-1].reason})."
    first = f": {', '.join(rejected[0].names)}: {rejected[0].reason}" if rejected else ""
    return f"this model has no cut that a codec can take{first}."


def _fitting(
    model: Model, cuts: Sequence[CandidateCut], ask: Ask, places: Places, prices: Prices
) -> tuple[list[_Pair], list[RejectedCut]]:
    """Pairs that the codec takes and whose head the edge can hold, and cuts of which no option fits."""
    allowed: list[_Pair] = []
    refused = []
    for cut in cuts:
        pairs = [_Pair(cut, option, _predicted(cut, option, places, prices)) for option in ask.options]
        reasons = [
            unfit_reason(model, cut, one.option.spec, ask.split)
            or memory_reason(one.point.load.edge_memory_bytes, ask.split, places.edge)
            for one in pairs
        ]
        fitting = [pair for pair, reason in zip(pairs, reasons, strict=True) if not reason]
        allowed += fitting
        if not fitting:
            refused.append(RejectedCut(cut.names, min(reasons)))
    return allowed, refused


def _predicted(cut: CandidateCut, option: Option, places: Places, prices: Prices) -> Point:
    """The pair's price with the packet that its bits let expect."""
    elements = cut.wire_bytes // FLOAT_BYTES
    edge_ms, cloud_ms = prices.halves_ms(cut, option)
    encode_ms, decode_ms = coding_ms(option.spec, elements)
    latency = Latency(edge_ms, encode_ms, 0.0, decode_ms, cloud_ms)
    memory = prices.memory_bytes(cut, option.edge_precision)
    point = Point(
        name=", ".join(cut.names),
        cut=cut.names,
        codec=option.label,
        bits=option.bits,
        edge_precision=option.edge_precision,
        cloud_precision=option.cloud_precision,
        latency=latency,
        load=Load(cut.head_flops, cut.tail_flops, cut.head_parameters, cut.tail_parameters, memory),
        feature_bytes=cut.wire_bytes,
        payload_bytes=0.0,
        is_measured=False,
    )
    return _sending(point, elements * (option.bits or USUAL_BITS) * EXPECTED_SHARE / 8, places, prices)


def _sending(point: Point, payload_bytes: float, places: Places, prices: Prices) -> Point:
    """The same point with a packet of this size."""
    push_ms = places.link.push_ms(payload_bytes)
    latency = replace(point.latency, wire_ms=places.link.wire_ms(payload_bytes), push_ms=push_ms)
    energy_mj = prices.energy_mj(latency.edge_ms + latency.encode_ms, push_ms)
    return replace(point, latency=latency, payload_bytes=payload_bytes, energy_mj=energy_mj)


def _measured(pair: _Pair, ask: Ask, places: Places, prices: Prices, measure: Measure | None) -> Point:
    if measure is None:
        return pair.point
    found = measure(pair.cut, pair.option)
    point = _sending(pair.point, found.payload_bytes, places, prices)
    refused = "" if found.fidelity is None else fidelity_reason(found.fidelity, found.samples, ask.min_fidelity)
    point = replace(point, is_measured=True, refused=refused)
    return replace(point, fidelity=found.fidelity, accuracy=found.accuracy, samples=found.samples)


def _one_a_cut(pairs: Sequence[_Pair], objective: str) -> list[_Pair]:
    """The best pair of each cut, in the order of the cuts."""
    best: dict[tuple[str, ...], _Pair] = {}
    for pair in pairs:
        rival = best.get(pair.cut.names)
        if rival is None or cost(pair.point, objective) < cost(rival.point, objective):
            best[pair.cut.names] = pair
    return list(best.values())


def _least(pair: _Pair, places: Places, prices: Prices, objective: str) -> float:
    """What the pair costs if its packet is empty: no measurement can make it cheaper."""
    return cost(_sending(pair.point, 0.0, places, prices), objective)[0]


def _ranked(pairs: Sequence[_Pair], objective: str) -> list[_Pair]:
    """The cheapest first, but of those predicted alike only the deepest; its likes come after all others.

    A convolution and the activation behind it are predicted alike, and the activation has the fewer bytes.
    """
    alike: Counter[tuple[float, int]] = Counter()
    turns = []
    for pair in sorted(pairs, key=lambda one: one.cut.position, reverse=True):
        kind = round(pair.point.latency.total_ms, 9), pair.point.feature_bytes
        turns.append((alike[kind], cost(pair.point, objective), pair.cut.position, pair))
        alike[kind] += 1
    return [pair for *_, pair in sorted(turns, key=lambda turn: turn[:3])]


def _judged(ways: Sequence[Point], ask: Ask) -> list[Point]:
    """All ways: the chosen one without a reason, every other with its own.

    Where none is good enough, the best of those is chosen that nothing but fidelity speaks against.
    """
    objective = ask.split.objective
    eligible = [way for way in ways if not way.refused or way.refused == _unfaithful(way, ask)]
    chosen = min(eligible, key=lambda way: rank(way, objective))
    why = {id(way): _beaten(way, chosen, objective) for way in eligible}
    return with_pareto([way if way is chosen else way.because(why.get(id(way), way.refused)) for way in ways])


def _unfaithful(way: Point, ask: Ask) -> str:
    return fidelity_reason(way.fidelity, way.samples, ask.min_fidelity)


def _losers(points: Sequence[Point], best: Point, objective: str) -> list[RejectedCut]:
    """Every measured cut but the best, by its best option."""
    names = dict.fromkeys(point.cut for point in points if point.cut != best.cut)
    cuts = [min((one for one in points if one.cut == cut), key=lambda one: rank(one, objective)) for cut in names]
    return [RejectedCut(point.cut, _beaten(point, best, objective)) for point in cuts]


def _beaten(point: Point, best: Point, objective: str) -> str:
    """Why ``best`` and not this one; a refusal that both share is no reason."""
    if point.refused and not best.refused:
        return point.refused
    if best.refused and point.fidelity is not None and best.fidelity is not None and point.fidelity != best.fidelity:
        words = f"its fidelity is {fidelity_text(point.fidelity, point.samples)}, {best.name} has"
        return f"{words} {fidelity_text(best.fidelity, best.samples)}, and neither is enough"
    found = "measured bytes give" if point.is_measured else "predicted"
    return f"{found} {price(point, objective)}, {best.name} gives {price(best, objective)}"


def _unmeasured(point: Point, ask: Ask) -> RejectedCut:
    words = f"predicted {price(point, ask.split.objective)}"
    return RejectedCut(point.cut, f"{words}, not among the {ask.split.candidates} best (split.candidates)")


def _note(option: Option, best: Point, baselines: Sequence[Point], places: Places, ask: Ask) -> str:
    """What the predictions are worth, whether the cut is good enough, and which ways without one are better."""
    on_edge, in_cloud = option.edge_precision, option.cloud_precision
    edge = _origin(places.edge_layers.get(on_edge), places.edge_whole_ms.get(on_edge), places.edge.rates)
    cloud = _origin(places.cloud_layers.get(in_cloud), places.cloud_whole_ms.get(in_cloud), places.cloud.rates)
    origin = f"{edge} on both sides" if edge == cloud else f"{edge} on the edge, {cloud} in the cloud"
    words = [f"Predicted for one sample alone: {origin}, and the link's bandwidth and delay."]
    words += [coding_words(option.spec), REAL if best.is_measured else ESTIMATED]
    if PEAKS in origin:
        words.append("Profile on the device before relying on times.")
    if best.energy_mj is None and places.edge.power_w is not None:
        words.append("Energy of what is sent is not known: the link has no radio_w.")
    words += _doubt(best, ask)
    objective = ask.split.objective
    better = [one for one in baselines if not one.refused and rank(one, objective) < rank(best, objective)]
    if better:
        names = ", ".join(f"{one.name} ({price(one, objective)})" for one in better)
        words.append(f"Predicted better than this cut: {names}." if not best.refused else f"Good enough: {names}.")
    return " ".join(words)


def _doubt(best: Point, ask: Ask) -> list[str]:
    """What is to be said where the best cut is below the least fidelity."""
    if best.refused:
        return [f"No measured cut keeps min_fidelity on the calibration samples; of the best, {best.refused}."]
    if best.fidelity is None or ask.min_fidelity is None or best.fidelity >= ask.min_fidelity:
        return []
    found = f"The best cut agrees on {fidelity_text(best.fidelity, best.samples)} of calibration"
    return [f"{found}, less than min_fidelity {ask.min_fidelity:.4f}; with so few samples that may be chance."]


def _origin(layers: object, whole_ms: object, rates: object) -> str:
    return MEASURED if layers else SCALED if whole_ms else FITTED if rates else PEAKS
