"""The benchmark of the JPEG row: what it makes of its rows, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from tasks_bench import jpeg_row
from tasks_bench.jpeg_row import JpegRow


def of(quality: float, size: float) -> JpegRow:
    return JpegRow("x", quality, size, 0.01)


@pytest.mark.parametrize(
    ("rows", "spread", "steps"),
    [
        pytest.param([of(80, 100), of(80, 100), of(80, 100), of(80, 100), of(80, 100)], 0.0, 0.0, id="same"),
        pytest.param([of(80, 100), of(85, 130), of(80, 100), of(80, 100), of(80, 100)], 0.3, 1.0, id="a-link"),
        pytest.param([of(80, 100), of(80, 100), of(79, 90), of(81, 104), of(80, 100)], 0.1, 0.4, id="the-sets"),
        pytest.param([of(80, 100), of(80, 100), of(80, 150), of(80, 150), of(80, 200)], 0.25, 0.0, id="to-all"),
    ],
)
def test_the_spread_is_the_largest_difference(
    rows: list[JpegRow], spread: float, steps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_row, "rows", lambda: tuple(rows))
    assert jpeg_row.spread() == pytest.approx(spread)
    assert jpeg_row.most_steps() == pytest.approx(steps)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jpeg_row, "MODEL", tmp_path / "none.onnx")
    assert "none.onnx" in jpeg_row.missing()
    assert "SPLITC_DATA" in jpeg_row.missing()


def test_the_table() -> None:
    assert list(jpeg_row.table([of(83.46, 12345.6)]))[1] == "| x | 83.5 | 12,346 | 0.0100 |"
