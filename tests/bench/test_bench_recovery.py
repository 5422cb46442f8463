"""The benchmark of recovery: its curves, and its summary where there is no data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("av")  # of the codec's benchmark, which knows the networks

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from recovery_bench.curves import by_fidelity, bytes_at, ratio_at  # noqa: E402

from splitc.train import MeasuredDesign  # noqa: E402


def points(*pairs: tuple[float, float]) -> list[MeasuredDesign]:
    """Designs of so many bytes and such a fidelity."""
    return [MeasuredDesign(1.0, size, 0.1, fidelity) for size, fidelity in pairs]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(0.9, 200.0, id="at-a-point"),
        pytest.param(0.85, 100 * 2**0.5, id="between"),
        pytest.param(0.7, 100.0, id="below-all"),
        pytest.param(0.99, None, id="above-all"),
    ],
)
def test_bytes_at_a_fidelity(wanted: float, found: float | None) -> None:
    got = bytes_at(points((400, 0.95), (100, 0.8), (200, 0.9)), by_fidelity, 1 - wanted)
    assert got == (None if found is None else pytest.approx(found))


def test_a_ratio_at_equal_fidelity() -> None:
    ours, theirs = points((100, 0.9), (50, 0.8)), points((400, 0.9), (200, 0.8))
    assert ratio_at(ours, theirs, by_fidelity, 0.1) == pytest.approx(0.25)
    assert ratio_at(ours, theirs, by_fidelity, 0.01) is None


def test_without_data_every_number_is_none(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "recovery.py"), "--only", "relu", "--json", str(tmp_path / "x.json")]
    bare = os.environ | {"SPLITC_DATA": str(tmp_path)}
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "set SPLITC_DATA" in done.stderr
    numbers = json.loads((tmp_path / "x.json").read_text())["summary"]
    assert set(numbers) == {
        "bottleneck_bytes_ratio",
        "bottleneck_low_ratio",
        "one_pair_ladder_penalty",
        "signed_cut_ratio",
    }
    assert set(numbers.values()) == {None}
