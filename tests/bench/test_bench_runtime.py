"""The runtime benchmark still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench_data import DATA

HERE = Path(__file__).parent
PROMISED = (
    *("throughput_vs_slowest_stage", "batching_gain", "p99_ms", "memory_growth", "answers_wrong"),
    *("p99_under_attack_ratio", "memory_under_attack_mb"),
)


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="needs splitc[serve]")
    pytest.importorskip("av", reason="needs splitc[video]")
    if not (DATA / "models/mobilenet_v2_imagenet.onnx").is_file():
        pytest.skip(f"no models in {DATA} (set SPLITC_DATA)")
    command = [sys.executable, str(HERE / "runtime.py"), "--quick", "--json", str(tmp_path / "x.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "x.json").read_text())["summary"]
    assert all(summary[name] is not None for name in PROMISED)
    assert summary["answers_wrong"] == 0
    assert "| MobileNetV2, pictures |" in done.stdout
