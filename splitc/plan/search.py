"""Choose where to cut: predict every candidate, measure the real bytes of the best, take the best of those.

candidates ──► pins, depth ──► predicted ──► K best ──► measured bytes ──► chosen
                  │                │                         │
                  └────────────────┴──── rejected, with reasons ◄┘
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from splitc.device import Device, Link, codec_ms, compute_ms
from splitc.errors import CutError
from splitc.graph import CandidateCut, Model, RejectedCut, check_codable, check_cut, enumerate_cuts, price_cut
from splitc.graph import head_nodes as nodes_of_head
from splitc.plan.plan import Baseline, Latency, Plan, Point
from splitc.recipe import CodecSection, SplitSection

EDGE_CODEC_MELS = 100.0
CLOUD_CODEC_MELS = 100.0
"""Assumed coding speed, million elements a second on one core of either place, until a profile says better."""
EXPECTED_SHARE = 0.85
"""Expected packet over k-bit packing, for ranking before anything is measured."""
USUAL_BITS = 4
"""Bits a symbol where the codec chooses them itself."""
FLOAT_BYTES = 4
NOTE = (
    "Predicted for one sample alone: a roofline of each device's published peak and bandwidth, float32, and the link's "
    "bandwidth and round trip. Packet sizes are real for the cuts shown. Profile on the device before relying on times."
)

Measure = Callable[[CandidateCut], float]
"""Mean packet bytes of a cut, from a codec fitted and measured on calibration samples."""


@dataclass(frozen=True)
class Places:
    """Where the halves run and what joins them."""

    edge: Device
    cloud: Device
    link: Link


def search(model: Model, asked: SplitSection, codec: CodecSection, places: Places, measure: Measure) -> Plan:
    """Find the cut, or check and price the one asked for.

    Args:
        model: The whole model.
        asked: ``at`` (names or "auto"), objective, pins, depth.
        codec: For the expected bits an element.
        places: Devices and link.
        measure: Gives a cut's real bytes; called for the best candidates only.

    Raises:
        CutError: The cut asked for is none, or no candidate satisfies the constraints.
    """
    baselines = _baselines(model, places)
    _refuse_idle_pins(model, asked)
    if asked.at != "auto":
        cut = _candidate(model, asked)
        point = _measured(_predict(cut, codec, places), cut, places, measure)
        return Plan(point, (point,), baselines, (), _note(point, baselines))
    listed = enumerate_cuts(model, asked.max_tensors)
    allowed, refused = _constrain(model, listed.candidates, asked)
    if not allowed:
        raise CutError(f"split.at = 'auto': {_why_none(refused, listed.rejected)}")
    ranked = sorted(allowed, key=lambda cut: _cost(_predict(cut, codec, places), asked.objective))
    best, rest = ranked[: asked.candidates], ranked[asked.candidates :]
    points = [_measured(_predict(cut, codec, places), cut, places, measure) for cut in best]
    chosen = min(points, key=lambda point: _cost(point, asked.objective))
    losers = [_beaten(point, chosen, asked.objective) for point in points if point is not chosen]
    unmeasured = [_unmeasured(_predict(cut, codec, places), asked) for cut in rest]
    order = sorted(points, key=lambda point: point.head_flops)
    rejected = (*losers, *unmeasured, *refused, *listed.rejected)
    return Plan(chosen, tuple(order), baselines, rejected, _note(chosen, baselines))


def _constrain(
    model: Model, cuts: Sequence[CandidateCut], asked: SplitSection
) -> tuple[list[CandidateCut], list[RejectedCut]]:
    allowed, refused = [], []
    for cut in cuts:
        if reason := _constraint_reason(model, cut, asked):
            refused.append(RejectedCut(cut.names, reason))
        else:
            allowed.append(cut)
    return allowed, refused


def _constraint_reason(model: Model, cut: CandidateCut, asked: SplitSection) -> str | None:
    return _depth_reason(cut, asked.min_depth) or _pin_reason(model, cut, asked)


def _why_none(refused: Sequence[RejectedCut], rejected: Sequence[RejectedCut]) -> str:
    if refused:
        return f"none of {len(refused)} cuts satisfies the pins and min_depth; relax one ({refused[-1].reason})."
    first = f": {', '.join(rejected[0].names)}: {rejected[0].reason}" if rejected else ""
    return f"this model has no cut that a codec can take{first}."


def _refuse_idle_pins(model: Model, asked: SplitSection) -> None:
    """A glob that matches nothing is a misspelt constraint, not one that holds."""
    names = [node.name or "" for node in model.flow.nodes]
    for key, globs in (("pin_edge", asked.pin_edge), ("pin_cloud", asked.pin_cloud)):
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in names):
                raise CutError(f"split.{key}: {glob!r} matches no node of the model (such as {names[0]!r}).")


def _depth_reason(cut: CandidateCut, least: float) -> str | None:
    share = cut.head_flops / max(cut.head_flops + cut.tail_flops, 1)
    return f"{share:.1%} of the FLOPs on the edge, min_depth asks for {least:.1%}" if share < least else None


def _pin_reason(model: Model, cut: CandidateCut, asked: SplitSection) -> str | None:
    if not (asked.pin_edge or asked.pin_cloud):
        return None
    head = nodes_of_head(model, cut.names)
    for name in sorted(head):
        if any(fnmatchcase(name, glob) for glob in asked.pin_cloud):
            return f"node {name!r} would be on the edge; pin_cloud keeps it in the cloud"
    for name in sorted({node.name or "" for node in model.flow.nodes} - head):
        if any(fnmatchcase(name, glob) for glob in asked.pin_edge):
            return f"node {name!r} would be in the cloud; pin_edge keeps it on the edge"
    return None


def _candidate(model: Model, asked: SplitSection) -> CandidateCut:
    """The cut asked for by name, once it is proven and keeps the constraints."""
    check_codable(model, check_cut(model, asked.at))
    cut = price_cut(model, asked.at)
    if reason := _constraint_reason(model, cut, asked):
        raise CutError(f"split.at = {list(asked.at)}: {reason}.")
    return cut


def _predict(cut: CandidateCut, codec: CodecSection, places: Places) -> Point:
    elements = cut.wire_bytes // FLOAT_BYTES
    payload = elements * (codec.bits or USUAL_BITS) * EXPECTED_SHARE / 8
    latency = Latency(
        edge_ms=_half_ms(places.edge, cut.head_flops, cut.head_parameters, cut.wire_bytes),
        encode_ms=codec_ms(elements, EDGE_CODEC_MELS),
        wire_ms=places.link.wire_ms(payload),
        decode_ms=codec_ms(elements, CLOUD_CODEC_MELS),
        cloud_ms=_half_ms(places.cloud, cut.tail_flops, cut.tail_parameters, cut.wire_bytes),
    )
    return Point(
        cut.names,
        latency,
        cut.wire_bytes,
        payload,
        False,
        cut.head_flops,
        cut.tail_flops,
        cut.head_parameters,
        cut.tail_parameters,
    )


def _half_ms(device: Device, flops: int, parameters: int, feature_bytes: int) -> float:
    return compute_ms(device, flops, FLOAT_BYTES * parameters + feature_bytes)


def _measured(point: Point, cut: CandidateCut, places: Places, measure: Measure) -> Point:
    payload = measure(cut)
    latency = replace(point.latency, wire_ms=places.link.wire_ms(payload))
    return replace(point, latency=latency, payload_bytes=payload, is_measured=True)


def _cost(point: Point, objective: str) -> tuple[float, float]:
    """Smaller is better; ties go to the smaller of the other kind."""
    total, payload = point.latency.total_ms, point.payload_bytes
    return (payload, total) if objective == "uplink" else (total, payload)


def _price(point: Point, objective: str) -> str:
    return f"{point.payload_bytes:.0f} bytes" if objective == "uplink" else f"{point.latency.total_ms:.2f} ms"


def _beaten(point: Point, chosen: Point, objective: str) -> RejectedCut:
    price, best = _price(point, objective), _price(chosen, objective)
    return RejectedCut(point.cut, f"measured bytes give {price}, {', '.join(chosen.cut)} gives {best}")


def _unmeasured(point: Point, asked: SplitSection) -> RejectedCut:
    price = _price(point, asked.objective)
    return RejectedCut(point.cut, f"predicted {price}, not among the {asked.candidates} best (split.candidates)")


def _baselines(model: Model, places: Places) -> tuple[Baseline, ...]:
    pixels = sum(_elements(spec.shape) for spec in model.inputs)
    whole = FLOAT_BYTES * model.parameters
    edge = Latency(compute_ms(places.edge, model.flops, whole), 0.0, 0.0, 0.0, 0.0)
    cloud = Latency(0.0, 0.0, places.link.wire_ms(pixels), 0.0, compute_ms(places.cloud, model.flops, whole))
    return Baseline("edge only", edge, 0.0), Baseline("cloud only, 8-bit input uncompressed", cloud, float(pixels))


def _note(chosen: Point, baselines: Sequence[Baseline]) -> str:
    """What the predictions are worth, and whether a way without a cut is predicted faster."""
    faster = [one for one in baselines if one.latency.total_ms < chosen.latency.total_ms]
    words = [f"{one.name} ({one.latency.total_ms:.1f} ms)" for one in faster]
    return f"{NOTE} Predicted faster than this cut: {', '.join(words)}." if words else NOTE


def _elements(shape: Sequence[int | str]) -> int:
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 1
    return count
