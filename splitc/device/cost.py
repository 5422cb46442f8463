"""Cost model: predictions from a device's figures, to be replaced by a profile once there is one.

The roofline of Williams, Waterman & Patterson (CACM 52(4), 2009): work takes as long as the slower of arithmetic and
memory traffic, each at its peak rate times ``efficiency``.
"""

from __future__ import annotations

from splitc.device.profile import Device, Precision
from splitc.errors import UsageError

DEFAULT_EFFICIENCY = 0.5
"""Share of both peaks that a network is assumed to reach. An assumption, not a measurement: it scales every prediction
for one device alike, so it hardly moves the order of cuts, and a profile replaces it."""


def compute_ms(
    device: Device,
    flops: float,
    bytes_moved: float,
    precision: Precision = "fp32",
    efficiency: float = DEFAULT_EFFICIENCY,
) -> float:
    """Predicted time of one half on ``device``, in milliseconds.

    Args:
        device: Where it runs.
        flops: Operations; a multiply-add is two.
        bytes_moved: Weights and activations read from and written to memory.
        precision: Which peak applies.
        efficiency: Share of the peaks that is reached; ``0 < efficiency <= 1``.

    Raises:
        UsageError: ``efficiency`` is out of range, or the device's file lacks a figure that this needs.
    """
    if not 0 < efficiency <= 1:
        raise UsageError(f"efficiency is {efficiency}; it must be above 0 and at most 1.")
    arithmetic_s = flops / (_peak_tflops(device, precision) * 1e12)
    traffic_s = bytes_moved / (_bandwidth_gb_s(device) * 1e9)
    return max(arithmetic_s, traffic_s) / efficiency * 1e3


def codec_ms(elements: float, mels: float) -> float:
    """Time to encode or to decode, in milliseconds.

    Args:
        elements: Feature elements.
        mels: Measured rate of that direction in 10**6 elements a second; above 0.
    """
    return elements / (mels * 1e3)


def _peak_tflops(device: Device, precision: Precision) -> float:
    peaks: dict[str, float] = device.peak_tflops.model_dump(exclude_none=True)
    if precision not in peaks:
        known = ", ".join(peaks) or "none"
        raise UsageError(
            f"device {device.name!r} has no {precision} peak (known: {known}); profile it or choose another."
        )
    return peaks[precision]


def _bandwidth_gb_s(device: Device) -> float:
    if device.bandwidth_gb_s is None:
        raise UsageError(f"device {device.name!r} has no bandwidth_gb_s; profile it or choose another.")
    return device.bandwidth_gb_s
