"""The Markdown that people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from codec_bench.floor import FloorRow
from codec_bench.frontier import FrontierRow
from codec_bench.stills import StillRow
from codec_bench.summary import Row
from codec_bench.symbols import SymbolRow
from codec_bench.video import VideoRow

Cells = Sequence[object]


def still_table(rows: Sequence[StillRow]) -> str:
    """Bits per element at equal KL on pictures."""
    body = [
        [row.cut, row.method, _number(row.rate_bpe, 3), _number(row.agreement, 3), *_speeds(row), row.version]
        for row in rows
    ]
    return _table("cut | method | bits/element | agreement | encode Mel/s | decode Mel/s | version", 2, body)


def symbol_table(rows: Sequence[SymbolRow]) -> str:
    """Every coder on the same symbols."""
    body = [
        [row.cut, row.symbols, row.coder, _number(row.rate_bpe, 3), *_speeds(row), *_megabytes(row), row.version]
        for row in rows
    ]
    head = "cut | symbols | coder | bits/element | encode Mel/s | decode Mel/s | encode MB/s | decode MB/s | version"
    return _table(head, 3, body)


def video_table(rows: Sequence[VideoRow]) -> str:
    """Bits per element at three KL on the clip: all frames, and predicted ones alone."""
    body = [
        [row.cut, row.method, _triple(row.rates_bpe), _triple(row.predicted_rates_bpe), *_speeds(row), row.version]
        for row in rows
    ]
    head = "cut | method | bits/element at KL 0.001 / 0.003 / 0.01 | without key frames | encode Mel/s | decode Mel/s"
    return _table(f"{head} | version", 2, body)


def floor_table(rows: Sequence[FloorRow]) -> str:
    """What memory allows."""
    body = [[row.operation, row.version, row.elements, f"{row.mels:.0f}"] for row in rows]
    return _table("pass | by | values | Mel/s", 2, body)


def frontier_table(rows: Sequence[FrontierRow]) -> str:
    """Bytes a picture at two divergences."""
    body = [
        [row.cut, row.method, *(_number(size, 0) for size in row.bytes_mean), ", ".join(row.chosen), row.version]
        for row in rows
    ]
    return _table("cut | method | bytes, high | bytes, low | chosen | version", 2, body)


def summary_table(summary: dict[str, object]) -> str:
    """Numbers of the summary, with the peer that each ratio names."""
    peers = summary["peers"]
    assert isinstance(peers, dict)
    numbers = {key: value for key, value in summary.items() if isinstance(value, int | float)}
    cells = {key: str(value) if isinstance(value, int) else _number(value, 3) for key, value in numbers.items()}
    body = [[key, cell, peers.get(key, "")] for key, cell in cells.items()]
    return _table("summary, geometric means over the cuts | value | peer", 1, body)


def _speeds(row: StillRow | SymbolRow | VideoRow) -> list[str]:
    return [_number(row.encode_mels, 1), _number(row.decode_mels, 1)]


def _megabytes(row: SymbolRow) -> list[str]:
    """Speeds in 10**6 bytes of float32 features a second."""
    return [_number(4 * mels, 1) for mels in (row.encode_mels, row.decode_mels)]


def _triple(values: Iterable[float | None]) -> str:
    return " / ".join(_number(value, 3) for value in values)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def _table(head: str, texts: int, body: Iterable[Cells]) -> str:
    """The first ``texts`` columns and a last one that names versions or peers are text, the others numbers."""
    columns = head.split(" | ")
    rule = ["---" if index < texts or name in ("version", "peer") else "---:" for index, name in enumerate(columns)]
    lines = [columns, rule, *([str(cell) for cell in row] for row in body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def title(row: Row) -> str:
    """A row in a few words, for progress."""
    names = (getattr(row, name, "") for name in ("cut", "symbols", "method", "coder", "operation"))
    return ", ".join(name for name in names if name)


def all_tables(rows: Sequence[Row], numbers: dict[str, object]) -> list[str]:
    """Every section that has rows, then the summary."""
    makers = {
        "floor": floor_table,
        "symbols": symbol_table,
        "stills": still_table,
        "video": video_table,
        "frontier": frontier_table,
        "streams": frontier_table,
    }
    made = []
    for section, make in makers.items():
        chosen: list[Any] = [row for row in rows if row.section == section]
        if chosen:
            made.append(f"## {HEADINGS[section]}\n\n{make(chosen)}")
    return [*made, f"## Summary\n\n{summary_table(numbers)}"]


HEADINGS = {
    "floor": "What the machine allows",
    "symbols": "The same symbols, one payload a picture",
    "stills": "Pictures, at KL 0.01",
    "video": "Static camera",
    "frontier": "Bytes at KL 0.003 (high) and 0.03 (low), of box scores 0.08 and 0.5",
    "streams": "Streams at KL 0.003 (high) and 0.03 (low), of boxes 0.25 and 1: bytes a frame",
}
