"""Who verifies when no verification files were named."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitc.recipe import hold_out, hold_out_end


@pytest.mark.parametrize(
    ("count", "calibration", "verification"),
    [
        (0, [], []),
        (1, [1], []),
        (2, [1], [2]),
        (3, [1, 2], [3]),
        (4, [1, 2, 3], [4]),
        (9, [1, 2, 3, 5, 6, 7, 9], [4, 8]),
    ],
)
def test_hold_out(count, calibration, verification):
    paths = [Path(str(number)) for number in range(1, count + 1)]
    kept, held = hold_out(paths)
    assert [int(path.name) for path in kept] == calibration
    assert [int(path.name) for path in held] == verification


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 3), (9, 7), (40, 30)])
def test_hold_out_of_frames_in_a_row_is_the_end(count, kept):
    paths = [Path(str(number)) for number in range(count)]
    assert hold_out_end(paths) == (paths[:kept], paths[kept:] if count != 1 else paths)
