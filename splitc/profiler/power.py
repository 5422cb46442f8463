"""Watts of a Jetson from its INA3221 monitors, as the kernel's hwmon (from JetPack 5 on) or iio driver shows them.

    hwmon   inN_label  inN_input (mV)  currN_input (mA)      power = mV * mA / 1000 mW
    iio     rail_name_N  in_powerN_input (mW)

The carrier board is never included.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys")
WHOLE = ("VDD_IN", "POM_5V_IN")
"""Rails that carry the whole module."""
SUMS = {
    "tegra234": ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    "tegra264": ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    "tegra194": ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
}
"""Chip -> rails that add up to the module where no single rail carries it: AGX Orin, AGX Thor, AGX Xavier."""
_HWMON = ("bus/i2c/drivers/ina3221", "bus/i2c/drivers/ina3221x")
_SUM_OF_SHUNTS = 7
_INTEGER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True)
class Power:
    """One sample.

    Attributes:
        rails_w: Watts by rail, signed as the monitor's currents are.
        total_w: Watts of the module, at least 0; None when they cannot be known.
        missing: Rails that the total would need.
    """

    rails_w: Mapping[str, float]
    total_w: float | None
    missing: tuple[str, ...] = ()

    @property
    def reason(self) -> str | None:
        """Why there is no total."""
        if self.total_w is not None:
            return None
        return f"no rail {', '.join(self.missing)}" if self.missing else "no power monitor"


def read_power(chip: str | None, sysfs: Path = SYSFS) -> Power:
    """Read every rail once; without a monitor there are none.

    Args:
        chip: Name of the chip, such as ``tegra234``; None when unknown: then the total needs a whole-module rail.
        sysfs: Root of sysfs.
    """
    return total(dict(_rails(sysfs)), chip)


def total(rails_w: Mapping[str, float], chip: str | None) -> Power:
    """The module's watts: from a rail that carries the whole module, else the sum of the chip's rails."""
    for whole in WHOLE:
        if whole in rails_w:
            return Power(rails_w, max(rails_w[whole], 0.0))
    wanted = SUMS.get(chip or "", (WHOLE[0],))
    missing = tuple(name for name in wanted if name not in rails_w)
    if missing:
        return Power(rails_w, None, missing if rails_w else ())
    return Power(rails_w, max(sum(rails_w[name] for name in wanted), 0.0))


def mean_total_w(samples: Sequence[Power]) -> float | None:
    """Mean watts of the module over the samples that have a total."""
    totals = [one.total_w for one in samples if one.total_w is not None]
    return statistics.fmean(totals) if totals else None


def power_notes(samples: Sequence[Power]) -> dict[str, str]:
    """For a record's environment: mean watts by rail, and, where no sample has a total, why."""
    if not samples:
        return {"power": "not measured: no power monitor"}
    rails: dict[str, list[float]] = {}
    for one in samples:
        for name, watts in one.rails_w.items():
            rails.setdefault(name, []).append(watts)
    notes = {f"{name}_w": f"{statistics.fmean(watts):.3f}" for name, watts in rails.items()}
    is_known = any(one.total_w is not None for one in samples)
    return notes if is_known else notes | {"power": f"not measured: {samples[-1].reason}"}


def _rails(sysfs: Path) -> Iterator[tuple[str, float]]:
    for driver in _HWMON:
        for label in sorted((sysfs / driver).glob("*/hwmon/hwmon*/in*_label")):
            yield from _hwmon_rail(label)
        for name in sorted((sysfs / driver).glob("*/iio:device*/rail_name_*")):
            yield from _iio_rail(name)


def _hwmon_rail(label: Path) -> Iterator[tuple[str, float]]:
    number = label.name.removeprefix("in").removesuffix("_label")
    name = _text(label)
    if name is None or "NC" in name.split("_") or number == str(_SUM_OF_SHUNTS):
        return
    millivolts, milliamperes = (_number(label.with_name(file)) for file in (f"in{number}_input", f"curr{number}_input"))
    if millivolts is not None and milliamperes is not None:
        yield name, millivolts * milliamperes / 1e6


def _iio_rail(file: Path) -> Iterator[tuple[str, float]]:
    name = _text(file)
    milliwatts = _number(file.with_name(f"in_power{file.name.removeprefix('rail_name_')}_input"))
    if name is not None and milliwatts is not None:
        yield name, milliwatts / 1e3


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> float | None:
    """An integer, as both drivers write it; the chip is signed."""
    text = _text(path)
    return float(text) if text and _INTEGER.fullmatch(text) else None
