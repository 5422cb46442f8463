"""Halves to halves with the weights and the precision asked for, and what each step saves."""

from __future__ import annotations

from splitc.lowering.kept import lowered_step
from splitc.lowering.lower import FeatureCoding, Lowered, LoweringRequest, count_lowering, is_mixed, lower, precisions
from splitc.lowering.mixed_precision import Demand, LayerPrecision, QuantizedPair, hold_out_judges, mix
from splitc.lowering.time_claims import ComputeTarget
from splitc.lowering.weight_steps import Saving, packed

__all__ = [
    "ComputeTarget",
    "Demand",
    "FeatureCoding",
    "LayerPrecision",
    "Lowered",
    "LoweringRequest",
    "QuantizedPair",
    "Saving",
    "count_lowering",
    "hold_out_judges",
    "is_mixed",
    "lower",
    "lowered_step",
    "mix",
    "packed",
    "precisions",
]
