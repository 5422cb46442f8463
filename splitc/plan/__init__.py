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
from splitc.plan.plan import Latency, Load, Plan, Point
from splitc.plan.prices import Prices
from splitc.plan.replay import LEAST_MBPS, RateRange, Replay, Switch, fastest_ranges, replay
from splitc.plan.search import search

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
    "Switch",
    "check_asked",
    "fastest_ranges",
    "fidelity_reason",
    "layouts",
    "refusing",
    "replay",
    "search",
    "unmeasured_whole",
]
