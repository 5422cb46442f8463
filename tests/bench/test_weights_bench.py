"""The benchmark of weights still runs, and its summary has the numbers that were promised."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench_data import DATA

HERE = Path(__file__).parent
WANTED = {
    "tc3d_i3d_ratio",
    "tc3d_over_entropy",
    "ours_vs_int8_zstd19",
    "ours_vs_nncodec",
    "decode_mweights",
    "encode_mweights",
    "delta_1pct_ratio",
    "int8_mobilenet_agreement",
    "int8_resnet18_agreement",
    "sparse_resnet18_2_of_4",
    "sparse_resnet18_half",
    "peers",
}
needs_data = pytest.mark.skipif(
    not (DATA / "models" / "i3d_kinetics400.onnx").is_file(), reason=f"no models in {DATA} (set SPLITC_DATA)"
)
needs_peers = pytest.mark.skipif(find_spec("av") is None, reason="av is not installed")


@needs_data
@needs_peers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "filled"),
    [
        ("tc3d", {"tc3d_i3d_ratio"}),
        ("speed", {"decode_mweights", "encode_mweights", "delta_1pct_ratio"}),
        ("int8", {"int8_mobilenet_agreement"}),
    ],
)
def test_sections_run(section: str, filled: set[str], tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, str(HERE / "weights.py"), "--quick", "--only", section, "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "## summary" in done.stdout
    document = json.loads(out.read_text("utf-8"))
    assert document["rows"]
    assert set(document["summary"]) == WANTED
    assert all(document["summary"][name] is not None for name in filled)
