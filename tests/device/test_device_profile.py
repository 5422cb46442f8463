"""Device files: each figure has a source, each mistake a message."""

from __future__ import annotations

import re
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
JETSONS = {
    "jetson-nano",
    "jetson-xavier-nx",
    "jetson-agx-xavier",
    "jetson-orin-nano",
    "jetson-orin-nano-super",
    "jetson-orin-nx",
    "jetson-agx-orin",
    "jetson-thor",
}
OTHERS = {"t4", "a10", "l4", "l40s", "a100", "h100", "h200", "b200", "rtx-pro-6000", "cpu"}
DOCUMENTS = ("NVIDIA ", "developer.nvidia.com", "computed", "measured", "JetPack ", "TensorRT ", "no data-center or")
"""How a source begins: a document's title, or how the figure was found."""


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
def test_each_source_is_a_document_or_a_way_of_finding_out(name: str) -> None:
    device = load_device(name)
    assert set(device.sources) == set(device.figures())
    assert [source for source in device.sources.values() if not source.startswith(DOCUMENTS)] == []


@pytest.mark.parametrize("name", sorted(JETSONS | OTHERS - {"cpu"}))
def test_an_nvidia_device_has_what_a_plan_and_a_build_need(name: str) -> None:
    device = load_device(name)
    assert {"compute_capability", "tensorrt", "memory_gb", "bandwidth_gb_s", "dla_cores", "power_w"} <= set(
        device.figures()
    )
    assert {"peak_tflops.fp32", "peak_tflops.fp16"} <= set(device.figures())


@pytest.mark.parametrize("name", device_names())
def test_a_computed_peak_is_what_its_source_computes(name: str) -> None:
    """``cores x 2 x clock``, and Tensor Cores x 64 multiply-adds: to three digits."""
    device = load_device(name)
    peaks = device.peak_tflops.model_dump(exclude_none=True)
    for precision, peak in peaks.items():
        source = device.sources[f"peak_tflops.{precision}"]
        product = re.match(r"computed: (\d+) CUDA cores x 2 x ([\d.]+) GHz", source)
        if product:
            assert peak == pytest.approx(int(product[1]) * 2 * float(product[2]) / 1e3, rel=5e-3)


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
        *(
            pytest.param(
                PLAIN.replace("[peak", f'tensorrt = ["{line}"]\n[peak'), r"tensorrt\.0: .*pattern", id=f"line-{n}"
            )
            for n, line in enumerate(["10.3\\nrm -rf x", "$(id)", "ten", "10", "", "1" * 5000 + ".1"])
        ),
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
