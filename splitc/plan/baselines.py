"""The ways without a cut, which every cut has to beat: all on the edge, or all in the cloud."""

from __future__ import annotations

from collections.abc import Sequence

from splitc.device import Precision
from splitc.graph import Model
from splitc.plan.ask import Ask, CodedInput, CodeInput, Measurement, Places
from splitc.plan.constraints import cloud_only_reason, edge_only_reason, memory_reason
from splitc.plan.plan import Latency, Load, Point
from splitc.plan.prices import Prices

EDGE_ONLY, CLOUD_ONLY = "edge only", "cloud only"
RAW = "8-bit input uncompressed"


def edge_only(model: Model, ask: Ask, places: Places, prices: Prices) -> list[Point]:
    """One row for each element type of the edge."""
    return [_edge_row(model, ask, places, prices, precision) for precision in _distinct_edge(ask)]


def cloud_only(
    model: Model, ask: Ask, places: Places, prices: Prices, code_input: CodeInput, rival: Point
) -> list[Point]:
    """The input as it is, and the smallest coding of it with which the cloud answers as well as ``rival`` does.

    As well means the same accuracy where labels exist, else the same fidelity. Coding the input is counted as free.
    """
    raw = CodedInput(RAW, Measurement(float(input_elements(model)), 1.0, None))
    rows = [raw, *code_input(lambda measured: _is_as_good(measured, rival))]
    precisions = list(dict.fromkeys(option.cloud_precision for option in ask.options))
    return [_cloud_row(model, ask, places, prices, row, one) for row in rows for one in precisions]


def input_elements(model: Model) -> int:
    """Numbers in one sample of all inputs; dynamic dimensions count as 1."""
    return sum(_elements(spec.shape) for spec in model.inputs)


def _is_as_good(measured: Measurement, rival: Point) -> bool:
    if measured.accuracy is not None and rival.accuracy is not None:
        return measured.accuracy >= rival.accuracy
    return (measured.fidelity or 0.0) >= (rival.fidelity or 0.0)


def _distinct_edge(ask: Ask) -> list[Precision]:
    return list(dict.fromkeys(option.edge_precision for option in ask.options))


def _edge_row(model: Model, ask: Ask, places: Places, prices: Prices, precision: Precision) -> Point:
    memory = prices.whole_memory_bytes(precision)
    fidelity = 1.0 if precision == "fp32" else None
    busy_ms = prices.edge_ms(precision)
    return Point(
        name=EDGE_ONLY if precision == "fp32" else f"{EDGE_ONLY}, {precision}",
        cut=(),
        codec="",
        bits=None,
        edge_precision=precision,
        cloud_precision=precision,
        latency=Latency(busy_ms, 0.0, 0.0, 0.0, 0.0),
        load=Load(model.flops, 0, model.parameters, 0, memory),
        feature_bytes=0,
        payload_bytes=0.0,
        is_measured=False,
        energy_mj=prices.energy_mj(busy_ms, 0.0),
        fidelity=fidelity,
        refused=edge_only_reason(ask.split)
        or memory_reason(memory, ask.split, places.edge)
        or fidelity_reason(fidelity, ask.min_fidelity),
    )


def _cloud_row(
    model: Model, ask: Ask, places: Places, prices: Prices, coded: CodedInput, precision: Precision
) -> Point:
    payload = coded.measured.payload_bytes
    push_ms = places.link.push_ms(payload)
    fidelity = coded.measured.fidelity if precision == "fp32" else None
    title = f"{CLOUD_ONLY}, {coded.name}"
    return Point(
        name=title if precision == "fp32" else f"{title}, {precision}",
        cut=(),
        codec=coded.name,
        bits=None,
        edge_precision=precision,
        cloud_precision=precision,
        latency=Latency(0.0, 0.0, places.link.wire_ms(payload), 0.0, prices.cloud_ms(precision), push_ms),
        load=Load(0, model.flops, 0, model.parameters, 0),
        feature_bytes=input_elements(model),
        payload_bytes=payload,
        is_measured=coded.name != RAW,
        energy_mj=prices.energy_mj(0.0, push_ms),
        fidelity=fidelity,
        accuracy=coded.measured.accuracy if precision == "fp32" else None,
        refused=cloud_only_reason(ask.split) or fidelity_reason(fidelity, ask.min_fidelity),
    )


def fidelity_reason(fidelity: float | None, least: float | None) -> str:
    """Why a fidelity is not enough, or an empty text."""
    if least is None or (fidelity is not None and fidelity >= least):
        return ""
    found = "was not measured" if fidelity is None else f"is {fidelity:.4f}"
    return f"its fidelity {found}, min_fidelity asks for {least:.4f}"


def _elements(shape: Sequence[int | str]) -> int:
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 1
    return count
