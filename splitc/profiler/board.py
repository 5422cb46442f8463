"""Which board this is and how it is set: chip, software, power mode, clocks and temperatures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/")
CHIPS = ("tegra264", "tegra234", "tegra194", "tegra186", "tegra210")
"""Thor, Orin, Xavier, TX2, Nano."""
OFF_C = -256.0
"""Reading of a thermal zone whose part is powered off."""
_CONSTANT_ZONES = ("pmic",)
"""Zones whose driver reports a constant in place of a temperature: 50 or 100 degrees, by board."""
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=(\S+)\s*>")


@dataclass(frozen=True)
class Board:
    """The machine and its settings.

    Attributes:
        model: From the device tree; None if this is no Jetson.
        chip: Such as ``tegra234``; None if this is no Jetson.
        linux: Version of Jetson Linux, such as ``36.4``.
        power_mode: Name of the nvpmodel mode.
        clocks_mhz: ``gpu``, ``cpu`` (the fastest core) and ``emc``, as far as sysfs shows them.
        temperatures_c: By thermal zone; zones that are powered off or report a constant are left out.
    """

    model: str | None = None
    chip: str | None = None
    linux: str | None = None
    power_mode: str | None = None
    clocks_mhz: Mapping[str, float] = field(default_factory=dict)
    temperatures_c: Mapping[str, float] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Entries of a record's environment; what is not known is left out."""
        texts = {"board": self.model, "chip": self.chip, "jetson_linux": self.linux, "power_mode": self.power_mode}
        clocks = {f"{name}_mhz": f"{value:g}" for name, value in self.clocks_mhz.items()}
        heat = {"temperature_c": f"{max(self.temperatures_c.values()):g}"} if self.temperatures_c else {}
        return {name: text for name, text in texts.items() if text} | clocks | heat


def is_constant_zone(name: str) -> bool:
    """Whether a thermal zone reports a constant whatever its temperature: the power management chip's (PMIC) does."""
    return name.lower().startswith(_CONSTANT_ZONES)


def read_board(root: Path = ROOT) -> Board:
    """Look at device tree, release file, nvpmodel and sysfs under ``root``."""
    compatible = _text(root / "proc/device-tree/compatible").split("\0")
    chips = [chip for chip in CHIPS if any(chip in one for one in compatible)]
    release = _RELEASE.search(_text(root / "etc/nv_tegra_release"))
    return Board(
        model=_text(root / "proc/device-tree/model").strip("\0 \n") or None,
        chip=chips[0] if chips else None,
        linux=f"{release[1]}.{release[2].split('.')[0]}" if release else None,
        power_mode=_power_mode(root),
        clocks_mhz=_clocks(root / "sys"),
        temperatures_c=_temperatures(root / "sys"),
    )


def _power_mode(root: Path) -> str | None:
    """The mode that nvpmodel noted, by its name in nvpmodel.conf."""
    status = re.search(r"pmode:(\d{1,4})", _text(root / "var/lib/nvpmodel/status"))
    if status is None:
        return None
    names: dict[int, str] = {int(one): name for one, name in _MODE.findall(_text(root / "etc/nvpmodel.conf"))}
    number = int(status[1])
    return names.get(number) or f"mode {number}"


def _clocks(sysfs: Path) -> dict[str, float]:
    found = {}
    gpu = [*sysfs.glob("class/devfreq/*gpu*/cur_freq"), *sysfs.glob("class/devfreq/*.g[av]*/cur_freq")]
    readings = {
        "gpu": [_number(path) / 1e6 for path in gpu],
        "cpu": [_number(path) / 1e3 for path in sysfs.glob("devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")],
        "emc": [_number(path) / 1e6 for path in sysfs.glob("kernel/debug/bpmp/debug/clk/emc/rate")],
    }
    for name, values in readings.items():
        if any(values):
            found[name] = max(values)
    return found


def _temperatures(sysfs: Path) -> dict[str, float]:
    zones = {}
    for zone in sorted(sysfs.glob("class/thermal/thermal_zone*")):
        name, text = _text(zone / "type").strip(), _text(zone / "temp").strip()
        is_number = re.fullmatch(r"-?\d{1,9}", text) is not None
        if name and is_number and int(text) / 1e3 > OFF_C and not is_constant_zone(name):
            zones[name] = int(text) / 1e3
    return zones


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> float:
    text = _text(path).strip()
    return float(text) if re.fullmatch(r"\d{1,15}", text) else 0.0
