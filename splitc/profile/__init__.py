"""Measured profiles: what a model took on a device, layer by layer; and device figures fitted to such records."""

from __future__ import annotations

from splitc.profile.calibrate import Measured, fit_device
from splitc.profile.onnxruntime import Effort, profile_onnxruntime
from splitc.profile.record import Layer, Percentiles, Record, layer_ms, read_record, write_record

__all__ = [
    "Effort",
    "Layer",
    "Measured",
    "Percentiles",
    "Record",
    "fit_device",
    "layer_ms",
    "profile_onnxruntime",
    "read_record",
    "write_record",
]
