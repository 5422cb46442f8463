"""Choose where to cut and how to code: predict every pair, measure the real bytes of the best cuts, take the best.

cuts x options ──► pins, depth, memory ──► predicted ──► K best cuts ──► measured ──► chosen, beside edge and cloud only
                            │                   │                            │
                            └───────────────────┴──── rejected, with reasons ◄┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    Ask,
    CodeInput,
    Measure,
    MeasureWhole,
    Option,
    Places,
    no_codings,
    unmeasured_whole,
)
from splitc.plan.baselines import BaselineInputs, cloud_only, edge_only, raw_bytes
from splitc.plan.candidates import Pair, Tried, one_a_cut, predicted, sending
from splitc.plan.coding import coding_words
from splitc.plan.confidence import fidelity_text
from splitc.plan.constraints import constrain, constraint_reason, memory_reason, refuse_idle_pins
from splitc.plan.judging import best_of, judged, losers
from splitc.plan.layouts import check_asked, refusing, unfit_reason
from splitc.plan.objective import cost, price, rank
from splitc.plan.plan import Plan
from splitc.plan.point import Point
from splitc.plan.prices import Prices
from splitc.plan.verdict import judge_worth

PEAKS = "a roofline of the device's published peak and bandwidth"
FITTED = "rates fitted to measured layers"
MEASURED = "measured times of this model's layers"
SCALED = "this model's measured time, spread over its layers as predicted (no layer of the profile names their nodes)"
EVEN = "They are of even steps; a build fits steps, and transforms, to what the answers feel, mostly for fewer bytes."
REAL, ESTIMATED = "Packet sizes are real for the cuts shown.", "Packet sizes are estimates: no samples were given."


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
        code_input: Gives the smallest coding of the input itself with answers of a divergence, for the rows without a
            cut.
        measure_whole: Gives what the unsplit model is worth in an element type, for the same rows.

    Raises:
        CutError: The cut asked for is none, no candidate satisfies the constraints, or the objective is energy and a
            power is not known.
        SplitcError: None of the cuts that were measured could be; the first fault.
    """
    refuse_idle_pins(model, ask.split)
    sized = with_sizes(model, ask.sizes)
    prices = Prices(sized, places)
    cuts, rejected = _cuts(model, ask)
    cuts = cuts if sized is model else [_as_sized(sized, cut) for cut in cuts]
    allowed, too_big = _fitting(model, cuts, ask, places, prices)
    if not allowed:
        raise CutError(f"split.at = {_asked(ask)}: {_why_none(len(cuts), too_big, rejected)}")
    tried = Tried(ask, places, prices, measure, raw_bytes(sized, ask))
    tried.run(allowed)
    without_cut = BaselineInputs(sized, ask, places, prices, measure_whole)
    return _decided(tried, without_cut, code_input, [*too_big, *rejected])


def _decided(tried: Tried, without_cut: BaselineInputs, code_input: CodeInput, rejected: Sequence[RejectedCut]) -> Plan:
    """The plan from what was measured; ``rejected`` are cuts that were not priced."""
    ask, places, prices = without_cut.ask, without_cut.places, without_cut.prices
    points, objective = tried.points, ask.split.objective
    winner = points.index(best_of(points, ask))
    best = points[winner]
    baselines, rivals = _without_cut(without_cut, code_input, best)
    missed = [_unmeasured(pair.point, ask) for pair in one_a_cut(tried.rest, objective)]
    ways = judged([*points, *baselines], ask)
    return Plan(
        chosen=next(way for way in ways if not way.reason),
        best_cut=ways[winner],
        points=tuple(sorted((way for way in ways if way.cut), key=lambda point: point.load.head_flops)),
        baselines=tuple(way for way in ways if not way.cut),
        rejected=(*losers(points, best, ask), *tried.failed, *missed, *rejected),
        objective=objective,
        is_proven=_is_proven(best, tried.rest, places, prices, objective),
        note=_note(tried.options[winner], best, baselines, places, ask),
        verdict=judge_worth(best, rivals, ask, tried.input_bytes),
        divergence_unit=ask.divergence_unit,
        input_bytes=tried.input_bytes,
    )


def _without_cut(asked: BaselineInputs, code_input: CodeInput, best: Point) -> tuple[list[Point], list[Point]]:
    """Rows to show, and those to hold the best cut against: at what it has, or may have, of divergence.

    Where the cut's answers are good enough, so are those that are no further from the unsplit network's: the shares of
    few samples that are answered alike would tell them apart by chance.
    """
    ask, whole = asked.ask, edge_only(asked)
    own = best.divergence if ask.max_divergence is None else ask.max_divergence
    is_enough = not best.refused and (ask.max_divergence is None or ask.min_fidelity is None)
    rivals = [*whole, *cloud_only(asked, code_input, own, is_enough=is_enough)]
    if ask.max_divergence is not None or ask.equal_divergence in (None, own):
        return rivals, rivals
    return [*whole, *cloud_only(asked, code_input, ask.equal_divergence, is_enough=is_enough)], rivals


def _is_proven(best: Point, rest: Sequence[Pair], places: Places, prices: Prices, objective: str) -> bool:
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
) -> tuple[list[Pair], list[RejectedCut]]:
    """Pairs that the codec takes and whose head the edge can hold, and cuts of which no option fits."""
    allowed: list[Pair] = []
    refused = []
    for cut in cuts:
        pairs = [Pair(cut, option, predicted(cut, option, places, prices)) for option in ask.options]
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


def _least(pair: Pair, places: Places, prices: Prices, objective: str) -> float:
    """What the pair costs if its packet is empty: no measurement can make it cheaper."""
    return cost(sending(pair.point, 0.0, places, prices), objective)[0]


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
    if best.is_measured and option.spec.needs_judge:
        words.append(EVEN)
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
