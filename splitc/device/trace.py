"""A link whose rate changes: rows of a CSV file, ``seconds,uplink_mbps`` and, if measured, ``rtt_ms``."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitc.device.link import Link
from splitc.errors import UsageError
from splitc.files import read_bounded

MAX_TRACE_BYTES = 64 << 20
COLUMNS, WITH_RTT = ("seconds", "uplink_mbps"), ("seconds", "uplink_mbps", "rtt_ms")
MOST_MBPS, MOST_MS, MOST_S = 1e6, 6e4, 1e9


@dataclass(frozen=True)
class Row:
    """From ``at_s`` until the next row: rate, 0 in an outage, and round trip."""

    at_s: float
    uplink_mbps: float
    rtt_ms: float


@dataclass(frozen=True)
class Trace:
    """Rows in the order of time; the last one never ends and has a rate above 0."""

    rows: tuple[Row, ...]

    def wire_ms(self, at_s: float, payload_bytes: float) -> float:
        """From the first bit sent at ``at_s`` to the answer's arrival, without the cloud's work.

        The round trip is that of the moment of sending; bits flow at the rate of each row that they last into.
        """
        index = max(0, bisect_right(self.rows, at_s, key=lambda row: row.at_s) - 1)
        at_s = max(at_s, self.rows[0].at_s)
        return self.rows[index].rtt_ms + 1e3 * (self._pushed_s(index, at_s, payload_bytes) - at_s)

    def rates_mbps(self) -> list[float]:
        """Distinct rates above 0, rising."""
        return sorted({row.uplink_mbps for row in self.rows if row.uplink_mbps > 0})

    def _pushed_s(self, index: int, at_s: float, payload_bytes: float) -> float:
        """The time when the last bit has left."""
        bits = 8 * payload_bytes
        for place in range(index, len(self.rows)):
            end_s = self.rows[place + 1].at_s if place + 1 < len(self.rows) else math.inf
            rate = self.rows[place].uplink_mbps * 1e6
            if bits <= 0 or (rate > 0 and at_s + bits / rate <= end_s):
                return at_s + (bits / rate if bits > 0 else 0.0)
            bits -= (end_s - at_s) * rate
            at_s = end_s
        raise AssertionError("the last row has a rate and no end")


def read_trace(path: Path | str, link: Link) -> Trace:
    """Read a trace; ``link`` gives the round trip where the file has no column for it.

    Raises:
        UsageError: Absent, too large, other columns, a value out of range, or times that do not rise; with the line.
    """
    path = Path(path)
    data = read_bounded(path, MAX_TRACE_BYTES, "a CSV file, thinned out")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read ({error}); give a CSV file.") from error
    rows = tuple(_rows(text, str(path), link.rtt_ms))
    if not rows or rows[-1].uplink_mbps == 0:
        raise UsageError(f"{path}: the last row must have a rate above 0, so that every payload arrives.")
    return Trace(rows)


def _rows(text: str, where: str, rtt_ms: float) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text))
    try:
        header = tuple(cell.strip() for cell in next(reader, []))
        if header not in (COLUMNS, WITH_RTT):
            raise UsageError(f"{where}:1: the columns must be {','.join(COLUMNS)} or {','.join(WITH_RTT)}.")
        before = -math.inf
        for cells in reader:
            if not cells:
                continue
            row = _row(cells, len(header), f"{where}:{reader.line_num}", rtt_ms)
            if row.at_s <= before:
                raise UsageError(f"{where}:{reader.line_num}: seconds must rise, {row.at_s:g} follows {before:g}.")
            before = row.at_s
            yield row
    except csv.Error as error:
        raise UsageError(f"{where}:{reader.line_num}: not CSV ({error}).") from error


def _row(cells: Sequence[str], count: int, where: str, rtt_ms: float) -> Row:
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        raise UsageError(f"{where}: {', '.join(cells)[:80]!r} are not numbers.") from None
    if len(numbers) != count:
        raise UsageError(f"{where}: has {len(numbers)} numbers, the first line names {count}.")
    limits = (MOST_S, MOST_MBPS, MOST_MS)
    if not all(0 <= number <= most for number, most in zip(numbers, limits, strict=False)):
        raise UsageError(
            f"{where}: needs 0 to {MOST_S:g} seconds, 0 to {MOST_MBPS:g} Mbit/s and 0 to {MOST_MS:g} ms, "
            f"got {', '.join(cells)[:80]}."
        )
    return Row(numbers[0], numbers[1], numbers[2] if count > 2 else rtt_ms)
