"""Enumerate cuts, price them, choose one; every rejected cut keeps its reason."""

from __future__ import annotations

from splitc.plan.plan import Baseline, Latency, Plan, Point
from splitc.plan.search import Places, search

__all__ = ["Baseline", "Latency", "Places", "Plan", "Point", "search"]
