"""The engines benchmark still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench_data import DATA

HERE = Path(__file__).parent


@pytest.mark.slow
@pytest.mark.trt
def test_a_network_is_built_twice(tmp_path: Path) -> None:
    if find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
    if not (DATA / "models/yolo_fastest_1.1_xl_coco.onnx").is_file():
        pytest.skip(f"no models in {DATA} (set SPLITC_DATA)")
    command = [sys.executable, str(HERE / "engines.py"), "--only", "build", "--network", "Yolo-Fastest"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "x.json")], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "x.json").read_text())["rows"]
    assert row["is_identical"]
    assert "| Yolo-Fastest | fp32 |" in done.stdout
