"""Watts, clocks, mode and temperature from fixture trees of Orin, Xavier and Thor; missing rails are said."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards import BOARDS, Fixture

from splitc.errors import UsageError
from splitc.profiler import parse_line, read_board, read_power, read_tegrastats, summarize_log
from splitc.records import Percentiles, Record

EVERY = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


@EVERY
def test_watts_from_sysfs(board: Fixture, tmp_path: Path) -> None:
    power = read_power(board.chip, board.write(tmp_path) / "sys")
    assert power.total_w == pytest.approx(board.watts)
    assert power.reason is None
    assert not {"NC", "sum of shunt voltages"} & set(power.rails_w)


@EVERY
def test_mode_clocks_and_heat(board: Fixture, tmp_path: Path) -> None:
    found = read_board(board.write(tmp_path))
    assert (found.chip, found.linux, found.model) == (board.chip, board.linux, board.model)
    assert found.power_mode == board.modes[board.mode]
    assert found.clocks_mhz["gpu"] == pytest.approx(board.gpu_mhz)
    heat = {name: value / 1e3 for name, value in board.heat.items() if value > -256000 and name != "PMIC-Die"}
    assert found.temperatures_c == heat  # the PMIC's driver reports a constant
    environment = found.environment()
    assert environment["power_mode"] == board.modes[board.mode]
    assert float(environment["temperature_c"]) == max(heat.values())


@EVERY
def test_a_line_of_tegrastats(board: Fixture) -> None:
    one = parse_line(board.line, board.chip)
    assert one.power.total_w == pytest.approx(board.line_watts)
    assert one.gpu_mhz == pytest.approx(board.gpu_mhz, abs=1)
    assert one.ram_mb is not None
    assert -256 not in one.temperatures_c.values()
    assert one.emc_mhz is not None
    assert one.cpu_mhz is not None


def test_the_older_form_of_tegrastats() -> None:
    one = parse_line(
        "RAM 2000/3964MB (lfb 4x4MB) CPU [10%@1479,off] GR3D_FREQ 99% POM_5V_IN 4100/4200 POM_5V_GPU 900/900"
    )
    assert (one.power.total_w, one.gpu_load, one.gpu_mhz) == (4.1, 0.99, None)
    assert parse_line("RAM 1/2MB GR3D_FREQ 5%@1300 VDD_IN 14025/14416").power.total_w == 14.025


def test_missing_rails_are_named(tmp_path: Path) -> None:
    root = BOARDS["agx-orin-jetpack5"].write(tmp_path)
    for path in (root / "sys/bus/i2c/drivers/ina3221/1-0040").rglob("*3_label"):
        path.unlink()
    power = read_power("tegra234", root / "sys")
    assert power.total_w is None
    assert power.missing == ("VIN_SYS_5V0",)
    assert power.reason == "no rail VIN_SYS_5V0"
    assert power.rails_w["VDD_GPU_SOC"] == pytest.approx(4.75)


def test_no_monitor_and_no_jetson(tmp_path: Path) -> None:
    power = read_power(None, tmp_path)
    assert (power.total_w, power.reason) == (None, "no power monitor")
    assert read_board(tmp_path).environment() == {}


def test_a_rail_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    root = BOARDS["orin-nx-jetpack6"].write(tmp_path)
    next(root.rglob("curr1_input")).write_text("error\n")
    assert read_power("tegra234", root / "sys").missing == ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


def test_the_older_driver(tmp_path: Path) -> None:
    place = tmp_path / "bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    place.mkdir(parents=True)
    (place / "rail_name_0").write_text("POM_5V_IN\n")
    (place / "in_power0_input").write_text("4100\n")
    assert read_power("tegra210", tmp_path).total_w == 4.1


@pytest.mark.parametrize(
    "odd",
    [
        "CPU [23%@abc,off,@,1%@" + "9" * 5000 + "]",
        "x@1.2.3C y@" + "9" * 5000 + "C z@-C",
        "VDD_IN " + "9" * 400 + "mW/1mW",
        "VDD_IN 99999999mW/1mW",
        "GR3D_FREQ " + "9" * 5000 + "%@[1,,2," + "9" * 5000 + "]",
        "EMC_FREQ 1%@" + "9" * 5000,
    ],
    ids=["cores", "heat", "long-watts", "many-watts", "gpu", "memory"],
)
def test_odd_figures_are_absent(odd: str) -> None:
    one = parse_line(f"RAM 2000/3964MB {odd}")
    assert (one.ram_mb, one.cpu_mhz, one.emc_mhz, one.power.total_w) == (2000, None, None, None)
    assert one.temperatures_c == {}


@pytest.mark.parametrize("line", ["RAM " + "9" * 5000 + "/1MB", "RAM 1/2MB " + "x" * 20_000, "CPU [" * 3000])
def test_lines_that_are_none(line: str) -> None:
    with pytest.raises(UsageError, match="not a line of tegrastats"):
        parse_line(line)


@pytest.mark.parametrize("text", ["nan", "1e400", "inf", "9" * 5000, "1_0", "0x1"])
def test_a_current_is_an_integer(text: str, tmp_path: Path) -> None:
    root = BOARDS["orin-nx-jetpack6"].write(tmp_path)
    next(root.rglob("curr1_input")).write_text(text)
    assert read_power("tegra234", root / "sys").total_w is None


def test_a_current_has_a_sign(tmp_path: Path) -> None:
    root = BOARDS["orin-nx-jetpack6"].write(tmp_path)
    next(root.rglob("curr1_input")).write_text("-8\n")
    power = read_power("tegra234", root / "sys")
    assert power.rails_w["VDD_IN"] < 0
    assert power.total_w == 0


def test_a_log_replaces_what_the_record_said_of_power() -> None:
    ms = Percentiles.of([10.0])
    before = {"power": "not measured: no power monitor", "VDD_OLD_w": "1.000", "board": "own"}
    record = Record(
        **{"device": "own", "backend": "b", "backend_version": "1", "model_sha256": "0" * 64, "side": "whole"},
        **{"warmup": 0, "samples": 1, "latency_ms": ms, "environment": before},
    )
    known, unknown = parse_line("RAM 1/2MB VDD_IN 4000mW/4000mW"), parse_line("RAM 1/2MB VDD_CPU 9mW/9mW")
    with_power = summarize_log(record, [known, unknown])
    assert (with_power.power_w, with_power.energy_mj) == (4.0, 40.0)
    assert with_power.environment == {"board": "own", "VDD_IN_w": "4.000", "VDD_CPU_w": "0.009"}
    without = summarize_log(with_power, [unknown])
    assert (without.power_w, without.energy_mj) == (None, None)
    assert without.environment == {"board": "own", "VDD_CPU_w": "0.009", "power": "not measured: no rail VDD_IN"}


def test_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(f"{BOARDS['orin-nx-jetpack6'].line}\n\n{BOARDS['orin-nx-jetpack6'].line}\n")
    assert len(read_tegrastats(log)) == 2
    log.write_text("something else\n")
    with pytest.raises(UsageError, match="not a line of tegrastats: 'something else'"):
        read_tegrastats(log)
    with pytest.raises(UsageError, match="cannot be read"):
        read_tegrastats(tmp_path / "none.txt")


ORIN_LINE = BOARDS["orin-nx-jetpack6"].line
HOT_PMIC = "RAM 2448/3964MB CPU [14%@1479] EMC_FREQ 3%@1600 GR3D_FREQ 99%@921 {0}@100C GPU@36.5C POM_5V_IN 4532/4200"


@pytest.mark.parametrize("name", ["PMIC", "pmic", "PMIC-Die", "pmic_die"])
def test_a_zone_that_reports_a_constant_is_no_temperature(name: str, tmp_path: Path) -> None:
    assert parse_line(HOT_PMIC.format(name)).temperatures_c == {"GPU": 36.5}
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text(f"{name}\n")
    (zone / "temp").write_text("100000\n")
    assert read_board(tmp_path).temperatures_c == {}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("nohup: ignoring input\n", "", "log.txt:1: not a line of tegrastats: 'nohup: ignoring input'"),
        ("[sudo] password for nvidia: \n", "", "log.txt:1: not a line of tegrastats: '[sudo] password for nvidia:'"),
        ("", "^C\n", "log.txt:6: not a line of tegrastats: '^C'"),
        ("", ORIN_LINE[:12] + "\n", "log.txt:6: not a line of tegrastats"),
        ("", ORIN_LINE[: ORIN_LINE.index("VDD_IN") + 10], "log.txt:6: cut off: "),
        (f"{ORIN_LINE} {ORIN_LINE}\n", "", "log.txt:1: two lines of tegrastats in one: 'RAM "),
        ("", f"{ORIN_LINE[:90]}{ORIN_LINE}\n", "log.txt:6: two lines of tegrastats in one: 'RAM "),
    ],
    ids=["nohup", "sudo", "interrupted", "cut-line", "cut-end", "two-in-one", "one-and-a-half"],
)
def test_foreign_and_cut_lines_are_left_out_and_named(before: str, after: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(before + (ORIN_LINE + "\n") * 5 + after)
    read = read_tegrastats(log)
    assert len(read) == 5
    assert len(read.skipped) == 1
    assert read.skipped[0].startswith(said)
    assert read.notes()["tegrastats_skipped"] == f"1, first {read.skipped[0]}"
    assert "power" not in read.notes()


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"], ids=ascii)
def test_a_log_of_nothing_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(text)
    with pytest.raises(UsageError, match=r"log\.txt: is empty; give a log of tegrastats"):
        read_tegrastats(tmp_path / "log.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_of_a_log(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes((ORIN_LINE + "\r\n").encode(encoding))
    if encoding == "utf-16-le":  # without its mark nothing tells
        with pytest.raises(UsageError, match=r"log\.txt:1: not a line of tegrastats"):
            read_tegrastats(log)
        return
    assert read_tegrastats(log).samples[0].power.total_w == parse_line(ORIN_LINE).power.total_w


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([ORIN_LINE] * 5, None),
        ([ORIN_LINE] * 4, "mean over 4 of 4 lines"),
        ([ORIN_LINE, *["RAM 1/2MB GR3D_FREQ 5%@1300"] * 9], "mean over 1 of 10 lines"),
        (["RAM 1/2MB GR3D_FREQ 5%@1300"] * 9, None),  # nothing was measured, which the record says
    ],
    ids=["enough", "few", "a-part", "none"],
)
def test_a_mean_over_few_lines_is_marked(lines: list[str], note: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("\n".join(lines) + "\n")
    assert read_tegrastats(log).notes().get("power") == note


def test_monitors_that_read_nothing_measure_nothing(tmp_path: Path) -> None:
    record = Record(
        **{"device": "own", "backend": "b", "backend_version": "1", "model_sha256": "0" * 64, "side": "whole"},
        **{"warmup": 0, "samples": 1, "latency_ms": Percentiles.of([10.0])},
    )
    found = summarize_log(record, [parse_line("RAM 1/2MB VDD_IN 0mW/0mW")] * 9)
    assert (found.power_w, found.energy_mj) == (None, None)
    assert found.environment["power"] == "not measured: the monitors read 0 W"


def test_a_decimal_comma(tmp_path: Path) -> None:
    assert parse_line("RAM 1/2MB cpu@48,25C gpu@47.5C").temperatures_c == {"cpu": 48.25, "gpu": 47.5}
