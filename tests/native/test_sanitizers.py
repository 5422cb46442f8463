"""The native coders under address and undefined-behaviour sanitizers: round trips, then garbage."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a C++ compiler")
def test_coders_are_clean_under_sanitizers(tmp_path: Path) -> None:
    configure = ["cmake", "-S", str(ROOT / "splitc" / "native"), "-B", str(tmp_path), "-DSPLITC_SANITIZE=ON"]
    for command in (configure, ["cmake", "--build", str(tmp_path)], [str(tmp_path / "roundtrip")]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{command[0]}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert done.stdout == "204 cases\n"
