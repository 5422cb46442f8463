"""The cost model and the link, against arithmetic done by hand."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from splitc.device import Device, Link, Rate, codec_ms, layer_ms, load_device, roofline_ms
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
    ("flops", "bytes_moved", "precision", "expected_ms"),
    [
        pytest.param(1e9, 0, "fp32", 1.0, id="arithmetic"),
        pytest.param(1e9, 0, "int8", 0.25, id="int8"),
        pytest.param(1e9, 1e8, "fp32", 10.0, id="traffic-is-slower"),
        pytest.param(0, 0, "fp32", 0.0, id="nothing"),
    ],
)
def test_roofline(flops: float, bytes_moved: float, precision: str, expected_ms: float) -> None:
    predicted_ms = roofline_ms(TOY, flops, bytes_moved, precision)  # type: ignore[arg-type]
    assert predicted_ms == pytest.approx(expected_ms, rel=1e-12)  # a few float operations


def test_a_layer_without_a_rate_reaches_a_share_of_the_roofline() -> None:
    assert layer_ms(TOY, "conv", 1e9, 4e7, 6e7) == pytest.approx(20.0, rel=1e-12)
    told = TOY.model_copy(update={"efficiency": 0.25})
    assert layer_ms(told, "conv", 1e9, 4e7, 6e7) == pytest.approx(40.0, rel=1e-12)


def test_a_measured_kind_takes_its_rate() -> None:
    rate = Rate(
        kind="conv", precision="fp32", launch_ms=0.5, ms_per_gflop=2, ms_per_weight_mb=0.1, ms_per_moved_mb=0.01
    )
    fitted = TOY.model_copy(update={"rates": (rate,)})
    assert layer_ms(fitted, "conv", 3e9, 10e6, 100e6) == pytest.approx(0.5 + 6 + 1 + 1, rel=1e-12)
    assert layer_ms(fitted, "conv", 3e9, 0, 0, "int8") == layer_ms(TOY, "conv", 3e9, 0, 0, "int8")
    assert layer_ms(fitted, "pool", 3e9, 0, 0) == layer_ms(TOY, "pool", 3e9, 0, 0)


def test_a_missing_peak_is_named() -> None:
    with pytest.raises(UsageError, match=r"device 'toy' has no fp16 peak \(known: fp32, int8\)"):
        roofline_ms(TOY, 1, 1, "fp16")


def test_a_missing_bandwidth_is_named() -> None:
    bare = TOY.model_copy(update={"bandwidth_gb_s": None})
    with pytest.raises(UsageError, match="device 'toy' has no bandwidth_gb_s"):
        layer_ms(bare, "conv", 1, 1, 1)


def test_codec_time() -> None:
    assert codec_ms(elements=50_000, mels=25) == pytest.approx(2.0, rel=1e-12)  # a few float operations


@pytest.mark.parametrize(
    ("payload_bytes", "expected_ms"),
    [pytest.param(0, 15.0, id="empty"), pytest.param(25_000, 25.0, id="10-ms-of-bits")],
)
def test_wire_time(payload_bytes: int, expected_ms: float) -> None:
    assert Link(uplink_mbps=20, rtt_ms=15).wire_ms(payload_bytes) == pytest.approx(expected_ms, rel=1e-12)  # floats


def test_jitter_is_planned_for_once() -> None:
    link = Link(uplink_mbps=20, rtt_ms=15, jitter_ms=3)
    assert link.wire_ms(25_000) == pytest.approx(28.0, rel=1e-12)  # floats
    assert link.push_ms(25_000) == pytest.approx(10.0, rel=1e-12)


@pytest.mark.parametrize("fields", [{"uplink_mbps": 0}, {"uplink_mbps": 1, "rtt_ms": -1}, {"uplink_mbps": 1, "x": 1}])
def test_a_link_is_checked(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Link.model_validate(fields)


def test_a_precision_without_arithmetic_takes_the_time_of_what_computes_it() -> None:
    """A processor's software takes fp16 networks, and computes them in fp32."""
    cpu = load_device("cpu")
    assert (cpu.arithmetic("fp16"), cpu.arithmetic("int8")) == ("fp32", "int8")
    with pytest.raises(ValidationError, match="no source for computes_as"):
        Device.model_validate({**TOY.model_dump(), "computes_as": {"fp16": "fp32"}})
