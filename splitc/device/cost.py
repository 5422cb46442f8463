"""Cost model: predictions from a device's figures, to be replaced by a profile once there is one.

The roofline of Williams, Waterman & Patterson (CACM 52(4), 2009): work takes as long as the slower of arithmetic and
memory traffic, each at its peak rate times ``efficiency``. Layers of a kind that was measured take their fitted rate.
"""

from __future__ import annotations

from splitc.device.profile import Device, Precision
from splitc.errors import UsageError

ASSUMED_EFFICIENCY = 0.5
"""Share of both peaks that a network is assumed to reach. An assumption, not a measurement: it scales every prediction
for one device alike, so it hardly moves the order of cuts, and a profile replaces it."""


def layer_ms(
    device: Device, kind: str, flops: float, weight_bytes: float, moved_bytes: float, precision: Precision = "fp32"
) -> float:
    """Predicted time of one layer, in milliseconds: by the device's fitted rate for its kind, else by the roofline.

    Args:
        device: Where it runs.
        kind: As the graph room names kinds of work.
        flops: Operations; a multiply-add is two.
        weight_bytes, moved_bytes: Of weights read, and of activations read and written.
        precision: Which rates and which peak apply.

    Raises:
        UsageError: The device's file lacks a figure that this needs.
    """
    for rate in device.rates:
        if (rate.kind, rate.precision) == (kind, precision):
            return rate.layer_ms(flops, weight_bytes, moved_bytes)
    return roofline_ms(device, flops, weight_bytes + moved_bytes, precision) / (device.efficiency or ASSUMED_EFFICIENCY)


def roofline_ms(device: Device, flops: float, bytes_moved: float, precision: Precision = "fp32") -> float:
    """Time at the device's full peaks, in milliseconds: the slower of arithmetic and traffic.

    Raises:
        UsageError: The device's file lacks a figure that this needs.
    """
    arithmetic_s = flops / (_peak_tflops(device, precision) * 1e12)
    traffic_s = bytes_moved / (_bandwidth_gb_s(device) * 1e9)
    return max(arithmetic_s, traffic_s) * 1e3


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
