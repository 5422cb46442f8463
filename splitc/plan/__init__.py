"""Enumerate cuts, price them, choose one; every rejected cut keeps its reason."""

from __future__ import annotations

from splitc.plan.ask import (
    Ask,
    CodedInput,
    CodeInput,
    Layers,
    Measure,
    Measurement,
    MeasureWhole,
    Option,
    Places,
    unmeasured_whole,
)
from splitc.plan.confidence import fidelity_reason
from splitc.plan.layouts import check_asked, layouts, refusing
from splitc.plan.monotone import rising
from splitc.plan.plan import Plan
from splitc.plan.point import Latency, Load, Point
from splitc.plan.prices import Prices, work_ms
from splitc.plan.replay import LEAST_MBPS, RateRange, Replay, Switch, fastest_ranges, replay
from splitc.plan.search import search
from splitc.plan.verdict import Rival, Verdict
from splitc.plan.worth import has_limit

__all__ = [
    "LEAST_MBPS",
    "Ask",
    "CodeInput",
    "CodedInput",
    "Latency",
    "Layers",
    "Load",
    "Measure",
    "MeasureWhole",
    "Measurement",
    "Option",
    "Places",
    "Plan",
    "Point",
    "Prices",
    "RateRange",
    "Replay",
    "Rival",
    "Switch",
    "Verdict",
    "check_asked",
    "fastest_ranges",
    "fidelity_reason",
    "has_limit",
    "layouts",
    "refusing",
    "replay",
    "rising",
    "search",
    "unmeasured_whole",
    "work_ms",
]
