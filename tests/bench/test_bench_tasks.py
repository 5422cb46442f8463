"""The benchmark of tasks runs, and its last line is the summary."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_planted_damage_is_summed_up(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "tasks.py"), "--only", "float16", "--summary"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "x.json")], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("summary {")
    numbers = json.loads(done.stdout.removeprefix("summary "))
    assert numbers == json.loads((tmp_path / "x.json").read_text())["summary"]
    assert numbers["fp16_lies_caught"] == "8/8"
    assert set(numbers) == {
        "int8_map_loss_yolo_fastest",
        "int8_map_loss_yolo11n",
        "int8_f1_yolo11n",
        "fp16_lies_caught",
        "jpeg_row_spread",
    }


def test_the_jpeg_row_is_left_out_without_its_pictures(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "tasks.py"), "--only", "jpeg_row", "--summary"]
    bare = os.environ | {"SPLITC_DATA": str(tmp_path)}
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "set SPLITC_DATA" in done.stderr
    assert json.loads(done.stdout.removeprefix("summary "))["jpeg_row_spread"] is None
