"""Device files: each figure has a source, each mistake a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.device import device_names, load_device
from splitc.errors import UsageError

PLAIN = """
name = "toy"
title = "A toy"
bandwidth_gb_s = 10
[peak_tflops]
fp32 = 1
[sources]
bandwidth_gb_s = "measured"
"peak_tflops.fp32" = "measured"
"""
JETSONS = {"jetson-orin-nano", "jetson-orin-nano-super", "jetson-orin-nx", "jetson-agx-orin"}
OTHERS = {"l4", "a10", "a100", "h100", "rtx-pro-6000", "t4", "cpu"}


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_promised_devices_are_there() -> None:
    assert set(device_names()) >= JETSONS | OTHERS


@pytest.mark.parametrize("name", device_names())
def test_a_device_file_loads_under_its_own_name(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert device.figures()


@pytest.mark.parametrize("name", device_names())
def test_faster_types_are_not_slower(name: str) -> None:
    peaks = list(load_device(name).peak_tflops.model_dump(exclude_none=True).values())
    assert peaks == sorted(peaks)


@pytest.mark.parametrize("name", device_names())
def test_the_usual_power_is_one_of_the_modes(name: str) -> None:
    device = load_device(name)
    assert not device.power_modes_w or device.power_w == max(device.power_modes_w)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, PLAIN))
    assert (device.name, device.peak_tflops.fp32, device.compute_capabilities) == ("toy", 1.0, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            PLAIN.replace('bandwidth_gb_s = "measured"\n', ""), "no source for bandwidth_gb_s", id="no-source"
        ),
        pytest.param(
            PLAIN.replace('fp32" = "measured"', 'fp32" = " "'), r"no source for peak_tflops\.fp32", id="blank-source"
        ),
        pytest.param(PLAIN + 'memory_gb = "a book"\n', "source for memory_gb, which is not given", id="idle-source"),
        pytest.param(PLAIN.replace("bandwidth_gb_s = 10", "bandwidth_gb_s = -1"), "bandwidth_gb_s: ", id="negative"),
        pytest.param(PLAIN.replace("bandwidth_gb_s = 10", "bandwith = 10"), "bandwith: ", id="unknown-key"),
        pytest.param("name = ", "not TOML", id="not-toml"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"toy\.toml: .*{message}"):
        load_device(write(tmp_path, text))


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"unknown device 'jetson-orin-nan'\. Did you mean 'jetson-orin-nano'\? Known: a10"
    ):
        load_device("jetson-orin-nan")


def test_a_missing_file() -> None:
    with pytest.raises(UsageError, match=r"device file none\.toml: .*No such file"):
        load_device("none.toml")
