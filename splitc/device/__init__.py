"""Devices and links as data, and what they predict: milliseconds before anything is measured."""

from __future__ import annotations

from splitc.device.cost import codec_ms, compute_ms
from splitc.device.link import Link
from splitc.device.profile import Device, Precision, device_names, load_device

__all__ = ["Device", "Link", "Precision", "codec_ms", "compute_ms", "device_names", "load_device"]
