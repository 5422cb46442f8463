"""The cost model and the link, against arithmetic done by hand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from splitc.device import Device, Link, codec_ms, compute_ms
from splitc.errors import UsageError

TOY = Device.model_validate(
    {
        "name": "toy",
        "title": "A toy",
        "bandwidth_gb_s": 10,
        "peak_tflops": {"fp32": 1, "int8": 4},
        "power_w": 5,
        "sources": dict.fromkeys(["bandwidth_gb_s", "peak_tflops.fp32", "peak_tflops.int8", "power_w"], "by hand"),
    }
)


@pytest.mark.parametrize(
    ("flops", "bytes_moved", "precision", "efficiency", "expected_ms"),
    [
        pytest.param(1e9, 0, "fp32", 1.0, 1.0, id="arithmetic"),
        pytest.param(1e9, 0, "int8", 1.0, 0.25, id="int8"),
        pytest.param(1e9, 1e8, "fp32", 1.0, 10.0, id="traffic-is-slower"),
        pytest.param(1e9, 1e8, "fp32", 0.5, 20.0, id="half-efficient"),
        pytest.param(0, 0, "fp32", 0.5, 0.0, id="nothing"),
    ],
)
def test_roofline(flops: float, bytes_moved: float, precision: str, efficiency: float, expected_ms: float) -> None:
    predicted_ms = compute_ms(TOY, flops, bytes_moved, precision, efficiency)  # type: ignore[arg-type]
    assert predicted_ms == pytest.approx(expected_ms, rel=1e-12)  # a few float operations


def test_a_missing_peak_is_named() -> None:
    with pytest.raises(UsageError, match=r"device 'toy' has no fp16 peak \(known: fp32, int8\)"):
        compute_ms(TOY, 1, 1, "fp16")


def test_a_missing_bandwidth_is_named() -> None:
    bare = TOY.model_copy(update={"bandwidth_gb_s": None})
    with pytest.raises(UsageError, match="device 'toy' has no bandwidth_gb_s"):
        compute_ms(bare, 1, 1)


@pytest.mark.parametrize("efficiency", [0.0, -1.0, 1.5])
def test_efficiency_is_a_share(efficiency: float) -> None:
    with pytest.raises(UsageError, match="efficiency is"):
        compute_ms(TOY, 1, 1, efficiency=efficiency)


def test_codec_time() -> None:
    assert codec_ms(elements=50_000, mels=25) == pytest.approx(2.0, rel=1e-12)  # a few float operations


@pytest.mark.parametrize(
    ("payload_bytes", "expected_ms"),
    [pytest.param(0, 15.0, id="empty"), pytest.param(25_000, 25.0, id="10-ms-of-bits")],
)
def test_wire_time(payload_bytes: int, expected_ms: float) -> None:
    assert Link(uplink_mbps=20, rtt_ms=15).wire_ms(payload_bytes) == pytest.approx(expected_ms, rel=1e-12)  # floats


@pytest.mark.parametrize("fields", [{"uplink_mbps": 0}, {"uplink_mbps": 1, "rtt_ms": -1}, {"uplink_mbps": 1, "x": 1}])
def test_a_link_is_checked(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Link.model_validate(fields)
