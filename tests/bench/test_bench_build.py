"""The benchmark of builds runs, and says what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from build_bench import memory
from plan_bench.rows import Row
from test_bench import needs_data, run


def test_the_summary_is_of_the_largest_builds() -> None:
    rows = [
        Row("memory", f"{count} {case.name}", {"beyond_mb": beyond})
        for count, case, beyond in (
            (40, memory.STILLS, 1.0),
            (5000, memory.STILLS, 2.0),
            (2000, memory.FRAMES_IN_A_ROW, 3.0),
        )
    ]
    assert memory.summary(rows) == {"peak_mb_5000_pictures": 2.0, "peak_mb_2000_frames": 3.0}
    assert memory.summary([]) == {"peak_mb_5000_pictures": None, "peak_mb_2000_frames": None}


@needs_data
@pytest.mark.slow
def test_memory_runs(tmp_path: Path) -> None:
    rows = run(tmp_path, "--only", "memory", script="build.py")["rows"]
    assert isinstance(rows, list)
    assert [row["cells"]["fitted"] for row in rows] == ["all"] * 4
    assert all(0 < row["cells"]["beyond_mb"] < 500 for row in rows)
