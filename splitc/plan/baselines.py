"""Baselines without a cut: everything on the edge, or everything in the cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from splitc.device import Precision
from splitc.graph import Model
from splitc.plan.ask import Ask, CodedInput, CodeInput, Measurement, MeasureWhole, Places
from splitc.plan.confidence import fidelity_reason
from splitc.plan.constraints import cloud_only_reason, edge_only_reason, memory_reason
from splitc.plan.plan import Latency, Load, Point
from splitc.plan.prices import Prices

EDGE_ONLY, CLOUD_ONLY = "edge only", "cloud only"
UNCOMPRESSED = "input uncompressed"


@dataclass(frozen=True)
class BaselineInputs:
    """What every way without a cut is priced for."""

    model: Model
    ask: Ask
    places: Places
    prices: Prices
    measure_whole: MeasureWhole


def edge_only(asked: BaselineInputs) -> list[Point]:
    """One row for each element type of the edge."""
    return [_edge_row(asked, one) for one in dict.fromkeys(option.edge_precision for option in asked.ask.options)]


def cloud_only(asked: BaselineInputs, code_input: CodeInput, rival: Point) -> list[Point]:
    """For each element type of the cloud: the input as it is, and its smallest codings that do what ``rival`` does.

    One coding has its fidelity, and also keeps ``min_fidelity``; where labels exist, another has its accuracy, unless
    that is the same coding. Coding the input is counted as free.
    """
    rows = []
    for precision in dict.fromkeys(option.cloud_precision for option in asked.ask.options):
        whole = asked.measure_whole(precision)
        raw = CodedInput(_raw_name(asked), replace(whole, payload_bytes=float(_raw_bytes(asked))))
        coded = {row.name: row for need in _needs(asked.ask, rival) for row in code_input(need, precision)}
        rows += [_cloud_row(asked, row, precision) for row in (raw, *coded.values())]
    return rows


def _needs(ask: Ask, rival: Point) -> list[Callable[[Measurement], bool]]:
    """What a coding of the input must achieve to be compared with ``rival``."""

    def is_as_faithful(found: Measurement) -> bool:
        is_enough = not fidelity_reason(found.fidelity, found.samples, ask.min_fidelity)
        return is_enough and (found.fidelity or 0.0) >= (rival.fidelity or 0.0)

    def is_as_accurate(found: Measurement) -> bool:
        return found.accuracy is None or found.accuracy >= (rival.accuracy or 0.0)

    return [is_as_faithful] if rival.accuracy is None else [is_as_faithful, is_as_accurate]


def _raw_name(asked: BaselineInputs) -> str:
    if asked.ask.sends_pixels:
        return f"8-bit {UNCOMPRESSED}"
    return f"{'/'.join(dict.fromkeys(spec.dtype for spec in asked.model.inputs))} {UNCOMPRESSED}"


def _raw_bytes(asked: BaselineInputs) -> int:
    """Of one sample of all inputs; dynamic dimensions count as 1."""
    specs = asked.model.inputs
    if asked.ask.sends_pixels:
        return sum(_elements(spec.shape) for spec in specs)
    return sum(_elements(spec.shape) * np.dtype(spec.dtype).itemsize for spec in specs)


def _edge_row(asked: BaselineInputs, precision: Precision) -> Point:
    model, ask, prices = asked.model, asked.ask, asked.prices
    memory = prices.whole_memory_bytes(precision)
    whole = asked.measure_whole(precision)
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
        fidelity=whole.fidelity,
        accuracy=whole.accuracy,
        samples=whole.samples,
        refused=edge_only_reason(ask.split)
        or memory_reason(memory, ask.split, asked.places.edge)
        or fidelity_reason(whole.fidelity, whole.samples, ask.min_fidelity),
    )


def _cloud_row(asked: BaselineInputs, coded: CodedInput, precision: Precision) -> Point:
    model, ask, link, prices = asked.model, asked.ask, asked.places.link, asked.prices
    found = coded.measured
    push_ms = link.push_ms(found.payload_bytes)
    title = f"{CLOUD_ONLY}, {coded.name}"
    return Point(
        name=title if precision == "fp32" else f"{title}, {precision}",
        cut=(),
        codec=coded.name,
        bits=None,
        edge_precision=precision,
        cloud_precision=precision,
        latency=Latency(0.0, 0.0, link.wire_ms(found.payload_bytes), 0.0, prices.cloud_ms(precision), push_ms),
        load=Load(0, model.flops, 0, model.parameters, 0),
        feature_bytes=_raw_bytes(asked),
        payload_bytes=found.payload_bytes,
        is_measured=UNCOMPRESSED not in coded.name,
        energy_mj=prices.energy_mj(0.0, push_ms),
        fidelity=found.fidelity,
        accuracy=found.accuracy,
        samples=found.samples,
        refused=cloud_only_reason(ask.split) or fidelity_reason(found.fidelity, found.samples, ask.min_fidelity),
    )


def _elements(shape: Sequence[int | str]) -> int:
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 1
    return count
