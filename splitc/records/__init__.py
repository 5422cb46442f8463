"""Measured profiles: what a model took on a device, layer by layer; and device figures fitted to such records."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from splitc.records.layers import is_copy, is_opaque, joined_values, layers_from_trace, timed_layer
from splitc.records.record import (
    LEAST_TRACED,
    PRECISIONS,
    LayerTiming,
    Milliseconds,
    Percentiles,
    Precision,
    Record,
    Sha256,
    Strict,
    layer_ms,
    read_record,
    traced_share,
    write_record,
)

if TYPE_CHECKING:
    from splitc.records.calibrate import Measured, fit_device
    from splitc.records.onnxruntime import Effort, profile_onnxruntime

_COMPILER = {
    "Measured": "calibrate",
    "fit_device": "calibrate",
    "Effort": "onnxruntime",
    "profile_onnxruntime": "onnxruntime",
}
"""Names whose modules read graphs: a device without compiler uses the record alone."""

__all__ = [
    "LEAST_TRACED",
    "PRECISIONS",
    "Effort",
    "LayerTiming",
    "Measured",
    "Milliseconds",
    "Percentiles",
    "Precision",
    "Record",
    "Sha256",
    "Strict",
    "fit_device",
    "is_copy",
    "is_opaque",
    "joined_values",
    "layer_ms",
    "layers_from_trace",
    "profile_onnxruntime",
    "read_record",
    "timed_layer",
    "traced_share",
    "write_record",
]


def __getattr__(name: str) -> object:
    """Import what reads graphs when it is first used."""
    if name not in _COMPILER:
        raise AttributeError(f"module 'splitc.records' has no attribute {name!r}")
    return getattr(import_module(f"splitc.records.{_COMPILER[name]}"), name)
