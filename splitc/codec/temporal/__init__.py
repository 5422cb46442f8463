"""Temporal components: what a frame's symbols are coded against. Integers only; equal state at both ends."""

from __future__ import annotations

from splitc.codec.temporal.base import Temporal
from splitc.registry import Registry

TEMPORALS: Registry[Temporal] = Registry(
    "temporal predictor",
    {
        "none": "splitc.codec.temporal.none:NoPrediction",
        "difference": "splitc.codec.temporal.difference:Difference",
        "dpcm": "splitc.codec.temporal.dpcm:Dpcm",
        "motion": "splitc.codec.temporal.motion:Motion",
        "ifmdc": "splitc.codec.temporal.ifmdc:Ifmdc",
    },
)

__all__ = ["TEMPORALS", "Temporal"]
