"""One line of tegrastats, of any JetPack from 4 to 7.

JetPack 4     VDD_IN 14025/14416
JetPack 5, 6  VDD_GPU_SOC 2390mW/2390mW                GR3D_FREQ 10%@1300            gpu@47.625C
JetPack 7     VDD_GPU_SOC 5139mW/5139mW/5139mW         GR3D_FREQ 12%@[1300,1300]     gpu@47.625C/47.625C
Thor                                                   GR3D_FREQ @[1000,1000,1000]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.profiler.board import OFF_C, is_constant_zone
from splitc.profiler.power import Power, mean_total_w, power_notes, total
from splitc.profiler.texts import decoded
from splitc.records import Record

MAX_FILE_BYTES = 64 << 20
MAX_LINE = 1 << 14
FEW_LINES = 5
"""Means over fewer lines are marked."""
_RAM = re.compile(r"\bRAM (\d{1,9})/(\d{1,9})MB")
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d{1,3})%)?(?:@\[?(\d{1,6}(?:,\d{1,6})*)(?!\d))?")
_EMC = re.compile(r"\bEMC_FREQ (?:\d{1,3}%)?@(\d{1,6})(?!\d)")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"\d{1,3}%@(\d{1,6})")
_HEAT = re.compile(r"\b([\w-]+)@(-?\d{1,4}(?:[.,]\d{1,6})?)C\b")
"""With a decimal point, or with the comma of some locales."""
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d{1,6})(?:mW)?/\d{1,6}(?:mW)?(?:/\d{1,6}mW)?(?![\w/])")
"""At most a kilowatt a rail; a rail with a larger figure counts as missing."""


@dataclass(frozen=True)
class Tegrastats:
    """Figures of one line; those that it does not give are None or absent."""

    power: Power
    ram_mb: int | None
    gpu_load: float | None
    gpu_mhz: float | None
    cpu_mhz: float | None
    emc_mhz: float | None
    temperatures_c: Mapping[str, float]


def parse_line(line: str, chip: str | None = None) -> Tegrastats:
    """One sample.

    Args:
        line: As tegrastats prints it, with or without date and time.
        chip: For the sum of rails: ``tegra234``.

    Raises:
        UsageError: Not a line of tegrastats, or two of them without an end between.
    """
    ram, gpu, emc, cpu = (pattern.search(line[:MAX_LINE]) for pattern in (_RAM, _GPU, _EMC, _CPU))
    if (ram is None and gpu is None) or len(line) > MAX_LINE:
        raise UsageError(f"not a line of tegrastats: {line.strip()[:60]!r}.")
    if len(_RAM.findall(line)) > 1:
        raise UsageError(f"two lines of tegrastats in one: {line.strip()[:60]!r}.")
    rails = {name: int(now) / 1e3 for name, now in _RAIL.findall(line) if name not in ("RAM", "SWAP", "IRAM")}
    found = [(name, float(value.replace(",", "."))) for name, value in _HEAT.findall(line)]
    heat = {name: value for name, value in found if value > OFF_C and not is_constant_zone(name)}
    cores = [_CORE.fullmatch(core.strip()) for core in (cpu[1].split(",") if cpu else ())]
    clocks = [int(core[1]) for core in cores if core]
    gpu_clocks = [int(one) for one in (gpu[2] or "").split(",") if one] if gpu else []
    return Tegrastats(
        power=total(rails, chip),
        ram_mb=int(ram[1]) if ram else None,
        gpu_load=int(gpu[1]) / 100 if gpu and gpu[1] else None,
        gpu_mhz=max(gpu_clocks, default=None),
        cpu_mhz=max(clocks, default=None),
        emc_mhz=int(emc[1]) if emc else None,
        temperatures_c=heat,
    )


@dataclass(frozen=True)
class TegrastatsLog:
    """A log, and what of it was left out.

    Attributes:
        samples: Of the lines that tegrastats wrote whole.
        skipped: Where each other line is and what it says: ``log.txt:6: '^C'``.
    """

    samples: tuple[Tegrastats, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def notes(self) -> dict[str, str]:
        """For a record's environment: lines that were left out, and a mean power over few lines or a part of them."""
        known, lines = sum(one.power.total_w is not None for one in self.samples), len(self.samples)
        notes = {"tegrastats_lines": str(lines)}
        if self.skipped:
            notes["tegrastats_skipped"] = f"{len(self.skipped)}, first {self.skipped[0]}"
        if 0 < known < lines or 0 < known < FEW_LINES:
            notes["power"] = f"mean over {known} of {lines} lines"
        return notes


def read_tegrastats(path: Path, chip: str | None = None) -> TegrastatsLog:
    """A log: whole lines of tegrastats, between which others may stand (``nohup: ignoring input``, ``^C``).

    Raises:
        UsageError: The file is absent or too large, or none of its lines is of tegrastats; the first is named.
    """
    text = decoded(read_bounded(path, MAX_FILE_BYTES, "a log of tegrastats, cut to the measured time"))
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    samples: list[Tegrastats] = []
    faults: list[str] = []
    for number, line in lines:
        try:
            samples.append(parse_line(line, chip))
        except UsageError as error:
            faults.append(f"{path.name}:{number}: {error}")
    if not samples:
        raise UsageError(faults[0] if faults else f"{path}: is empty; give a log of tegrastats of the measured time.")
    if len(samples) > 1 and not text.endswith("\n") and _is_cut(samples[-2], samples[-1]):
        samples.pop()
        faults.append(f"{path.name}:{lines[-1][0]}: cut off: {lines[-1][1].strip()[-40:]!r}")
    return TegrastatsLog(tuple(samples), tuple(faults))


def _is_cut(before: Tegrastats, last: Tegrastats) -> bool:
    """Whether a last line without an end lacks figures that the line before has."""
    lost_rails = before.power.rails_w.keys() - last.power.rails_w.keys()
    return bool(lost_rails or before.temperatures_c.keys() - last.temperatures_c.keys())


def summarize_log(record: Record, samples: Sequence[Tegrastats]) -> Record:
    """The record with what a log of the same time says: mean watts, energy, the highest clocks and temperatures.

    The log replaces whatever the record said of power, so that all of it has one source.

    Raises:
        UsageError: The log is empty.
    """
    if not samples:
        raise UsageError("the log of tegrastats is empty.")
    powers = [one.power for one in samples]
    mean_w, notes = mean_total_w(powers), power_notes(powers)
    if mean_w == 0:  # nothing runs on no power
        mean_w, notes = None, notes | {"power": "not measured: the monitors read 0 W"}
    for name in ("gpu_mhz", "cpu_mhz", "emc_mhz"):
        clocks = [getattr(one, name) for one in samples if getattr(one, name) is not None]
        notes |= {name: f"{max(clocks):g}"} if clocks else {}
    heat = [value for one in samples for value in one.temperatures_c.values()]
    notes |= {"temperature_c": f"{max(heat):g}"} if heat else {}
    kept = {name: text for name, text in record.environment.items() if name != "power" and not name.endswith("_w")}
    energy = None if mean_w is None else mean_w * record.latency_ms.mean
    return record.model_copy(update={"power_w": mean_w, "energy_mj": energy, "environment": kept | notes})
