"""Baselines without a cut: everything on the edge, or everything in the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from splitc.device import Precision
from splitc.graph import Model
from splitc.plan.ask import Ask, CodedInput, CodeInput, MeasureWhole, Places
from splitc.plan.constraints import cloud_only_reason, edge_only_reason, memory_reason
from splitc.plan.point import Latency, Load, Point
from splitc.plan.prices import Prices
from splitc.plan.worth import answers_reason

EDGE_ONLY, CLOUD_ONLY = "edge only", "cloud only"
UNCOMPRESSED = "input uncompressed"
FINER_STEPS = 12
"""Halvings of the divergence in search of a coding that keeps the limits."""


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


def cloud_only(
    asked: BaselineInputs, code_input: CodeInput, divergence: float | None, *, is_enough: bool
) -> list[Point]:
    """For each element type of the cloud: the input as it is, and coded so that answers have this divergence.

    Args:
        asked: What every way is priced for.
        code_input: Codes the input.
        divergence: None: nothing is coded.
        is_enough: Such answers are good enough. Else a coding with which they surely miss a limit of the recipe is
            given at the first finer setting that does not.
    """
    rows = []
    for precision in dict.fromkeys(option.cloud_precision for option in asked.ask.options):
        whole = asked.measure_whole(precision)
        raw = CodedInput(_raw_name(asked), replace(whole, payload_bytes=float(raw_bytes(asked.model, asked.ask))))
        rows.append(_cloud_row(asked, raw, precision, answers_reason(raw.measured, asked.ask)))
        if divergence is None:
            continue
        code = code_input if is_enough else partial(_fine_enough, asked.ask, code_input)
        for one in code(divergence, precision):
            is_good = is_enough and (one.measured.divergence or 0.0) <= divergence * (1 + 1e-9)  # interpolated
            rows.append(_cloud_row(asked, one, precision, "" if is_good else answers_reason(one.measured, asked.ask)))
    return rows


def _fine_enough(ask: Ask, code_input: CodeInput, divergence: float, precision: Precision) -> list[CodedInput]:
    """Each coding at this divergence, or at the first of its halves with which no limit is surely missed."""
    found = list(code_input(divergence, precision))
    for _ in range(FINER_STEPS):
        if not any(answers_reason(one.measured, ask) for one in found):
            break
        divergence /= 2
        finer = code_input(divergence, precision)
        found = [new if answers_reason(old.measured, ask) else old for old, new in zip(found, finer, strict=True)]
    return found


def _raw_name(asked: BaselineInputs) -> str:
    if asked.ask.sends_pixels:
        return f"8-bit {UNCOMPRESSED}"
    return f"{'/'.join(dict.fromkeys(spec.dtype for spec in asked.model.inputs))} {UNCOMPRESSED}"


def raw_bytes(model: Model, ask: Ask) -> int:
    """Of one sample of all inputs, uncoded; dynamic dimensions count as 1."""
    if ask.sends_pixels:
        return sum(_elements(spec.shape) for spec in model.inputs)
    return sum(_elements(spec.shape) * np.dtype(spec.dtype).itemsize for spec in model.inputs)


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
        divergence=whole.divergence,
        divergence_error=whole.divergence_error,
        refused=edge_only_reason(ask.split)
        or memory_reason(memory, ask.split, asked.places.edge)
        or answers_reason(whole, ask),
    )


def _cloud_row(asked: BaselineInputs, coded: CodedInput, precision: Precision, unfit: str) -> Point:
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
        latency=Latency(
            edge_ms=0.0,
            encode_ms=coded.encode_ms,
            wire_ms=link.wire_ms(found.payload_bytes),
            decode_ms=coded.decode_ms,
            cloud_ms=prices.cloud_ms(precision),
            push_ms=push_ms,
        ),
        load=Load(0, model.flops, 0, model.parameters, 0),
        feature_bytes=raw_bytes(model, ask),
        payload_bytes=found.payload_bytes,
        is_measured=UNCOMPRESSED not in coded.name,
        energy_mj=prices.energy_mj(coded.encode_ms, push_ms),
        fidelity=found.fidelity,
        accuracy=found.accuracy,
        samples=found.samples,
        divergence=found.divergence,
        divergence_error=found.divergence_error,
        refused=cloud_only_reason(ask.split) or unfit,
    )


def _elements(shape: Sequence[int | str]) -> int:
    count = 1
    for size in shape:
        count *= size if isinstance(size, int) else 1
    return count
