"""Devices and links as data, and what they predict: milliseconds before anything is measured."""

from __future__ import annotations

from splitc.device.cost import codec_ms, layer_ms, roofline_ms
from splitc.device.link import Link
from splitc.device.profile import ELEMENT_BYTES, Device, Precision, device_names, load_device, save_device
from splitc.device.rate import Rate
from splitc.device.trace import Row, Trace, read_trace

__all__ = [
    "ELEMENT_BYTES",
    "Device",
    "Link",
    "Precision",
    "Rate",
    "Row",
    "Trace",
    "codec_ms",
    "device_names",
    "layer_ms",
    "load_device",
    "read_trace",
    "roofline_ms",
    "save_device",
]
