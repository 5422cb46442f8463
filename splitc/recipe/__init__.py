"""TOML to a frozen :class:`Recipe`; knows line numbers, knows no components."""

from __future__ import annotations

from splitc.recipe.files import hold_out, hold_out_end
from splitc.recipe.load import Known, load_recipe
from splitc.recipe.lock import lock_toml
from splitc.recipe.recipe import Recipe
from splitc.recipe.sections import (
    Cluster,
    CodecSection,
    DataSection,
    DimRange,
    GateSection,
    LinkSection,
    Losses,
    ModelSection,
    Prune,
    RecoverySection,
    Rounding,
    SideWeights,
    SplitSection,
    TargetSection,
    TargetsSection,
    VideoSection,
    WeightsSection,
)
from splitc.recipe.values import parse_bytes, parse_shapes

__all__ = [
    "Cluster",
    "CodecSection",
    "DataSection",
    "DimRange",
    "GateSection",
    "Known",
    "LinkSection",
    "Losses",
    "ModelSection",
    "Prune",
    "Recipe",
    "RecoverySection",
    "Rounding",
    "SideWeights",
    "SplitSection",
    "TargetSection",
    "TargetsSection",
    "VideoSection",
    "WeightsSection",
    "hold_out",
    "hold_out_end",
    "load_recipe",
    "lock_toml",
    "parse_bytes",
    "parse_shapes",
]
