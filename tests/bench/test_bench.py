"""The benchmarks still run, and the interpolation of rates is right."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from bench_data import DATA
from codec_bench.fidelity import Point, around, at_kl, fidelity
from codec_bench.frontier import at_level, bracketed

HERE = Path(__file__).parent
WANTED = (
    "fast_bytes_vs_zstd19",
    "fast_encode_mels",
    "fast_decode_mels",
    "fast_encode_vs_x265",
    "fast_bpe_vs_x265_tile",
    "fast_bpe_vs_kbit_zstd19",
    "fast_bpe_vs_chen2019",
    "static_video_vs_x265_inter",
    "static_video_vs_ifmdc",
    "quantize_vs_numpy",
)
PLAN_WANTED = (
    "corpus_graphs",
    "cuts_split",
    "cuts_refused",
    "wrong",
    "chain_seconds",
    "chain_peak_mb",
    "big_model_peak_gb",
    "big_model_seconds_vs_onnx_utils",
)

MISSING = [peer for peer in ("av", "constriction") if find_spec(peer) is None]

needs_peers = pytest.mark.skipif(bool(MISSING), reason=f"peers are not installed: {', '.join(MISSING)}")
needs_data = pytest.mark.skipif(
    not (DATA / "models" / "mobilenet_v2_imagenet.onnx").is_file(),
    reason=f"no models and pictures in {DATA} (set SPLITC_DATA)",
)


def run(folder: Path, *arguments: str, script: str = "codec.py") -> dict[str, object]:
    out = folder / "bench.json"
    command = [sys.executable, str(HERE / script), "--quick", "--json", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "## Summary" in done.stdout
    document: dict[str, object] = json.loads(out.read_text("utf-8"))
    assert document["rows"]
    return document


def point(kl: float) -> Point:
    """On the curve 3 - ln(kl / 0.01)."""
    return Point("", 3 - float(np.log(kl / 0.01)), kl, 0.95)


@pytest.mark.parametrize("section", ["corpus", "chain", "big"])
def test_plan_runs(tmp_path: Path, section: str) -> None:
    document = run(tmp_path, "--only", section, script="plan.py")
    summary = document["summary"]
    assert isinstance(summary, dict)
    assert set(PLAN_WANTED) <= set(summary)
    assert summary["wrong"] == (0 if section == "corpus" else None)
    rows = document["rows"]
    assert isinstance(rows, list)
    assert section != "big" or all(row["cells"]["seconds"] for row in rows if row["cells"]["tool"].startswith("splitc"))


@needs_data
@pytest.mark.slow
def test_predictions_run(tmp_path: Path) -> None:
    summary = run(tmp_path, "--only", "predict", script="plan.py")["summary"]
    assert isinstance(summary, dict)
    assert 0 < summary["predict_median_error"] < summary["predict_unseen_median_error"] + 1


@needs_peers
def test_floor_runs(tmp_path: Path) -> None:
    summary = run(tmp_path, "--only", "floor")["summary"]
    assert isinstance(summary, dict)
    assert set(WANTED) <= set(summary)
    assert summary["quantize_vs_numpy"] > 0
    assert summary["fast_encode_mels"] is None


@needs_data
@needs_peers
def test_symbols_run(tmp_path: Path) -> None:
    summary = run(tmp_path, "--only", "symbols")["summary"]
    assert isinstance(summary, dict)
    assert 0 < summary["fast_bytes_vs_zstd19"] < 1
    assert 0 < summary["fast_own_bytes_vs_zstd19"] < 1
    assert summary["balanced_encode_mels"] > 0


@needs_data
@needs_peers
@pytest.mark.slow
def test_every_section_runs(tmp_path: Path) -> None:
    summary = run(tmp_path)["summary"]
    assert isinstance(summary, dict)
    assert [name for name in WANTED if summary[name] is None] == []


def test_rate_at_kl_is_interpolated_in_its_logarithm() -> None:
    found = at_kl([point(kl) for kl in (0.001, 0.003, 0.009, 0.03, 0.1)], 0.01)
    assert found is not None
    assert found.rate_bpe == pytest.approx(3, abs=1e-9)  # a straight line lies on a parabola: rounding alone
    assert found.nearest.kl == 0.009


@pytest.mark.parametrize("kls", [(0.02, 0.03, 0.04, 0.05, 0.06), (0.001, 0.02, 0.03, 0.1)], ids=["one-side", "four"])
def test_nothing_is_extrapolated(kls: tuple[float, ...]) -> None:
    assert at_kl([point(kl) for kl in kls], 0.01) is None


@pytest.mark.parametrize("start", [0, 5, 11])
def test_ladder_is_walked_to_both_sides_of_the_target(start: int) -> None:
    kls = [0.01 * 2.0 ** (k - 5.5) for k in range(12)]
    points = around(start, len(kls), lambda rung: point(kls[rung]), 0.01)
    assert len(points) >= 5
    assert min(sum(p.kl < 0.01 for p in points), sum(p.kl > 0.01 for p in points)) >= 2


def test_ladder_that_never_reaches_the_target_ends() -> None:
    walked: list[int] = []

    def measure(rung: int) -> Point:
        walked.append(rung)
        return point(1e-5 * (1 + rung))

    around(3, 8, measure, 0.01)
    assert sorted(walked) == [2, *range(3, 8)] or sorted(walked) == list(range(3, 8))


def test_kl_of_equal_answers_is_nothing() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 10)).astype(np.float32)
    same = fidelity(logits, logits)
    assert same.agreement == 1
    assert same.kl == pytest.approx(0, abs=1e-6)  # clamped to the least KL, so that its logarithm exists


@needs_peers
def test_streams_are_summed_up_by_clip_and_level() -> None:
    """The best design at each level beside its peer; levels that one side does not reach are left out."""
    from codec_bench.streams import StreamRow
    from codec_bench.summary import summary

    levels, shape = (0.003, 0.03), (1, 2, 2)

    def row(method: str, clip: str, sizes: tuple[float | None, float | None]) -> StreamRow:
        return StreamRow(f"net {clip}", "classification", shape, method, "", levels, sizes, clip=clip)

    rows = [
        row("x265 inter", "static", (100, 50)),
        row("dpcm", "static", (90, 20)),
        row("motion", "static", (50, 30)),
        row("x265 inter", "moving", (100, None)),
        row("motion", "moving", (80, 10)),
        row("H.265 of the input", "static", (25, None)),
    ]
    found = summary(rows)
    assert found["static_video_worst_vs_x265_inter"] == 0.5
    assert found["static_video_best_vs_x265_inter"] == pytest.approx(np.sqrt(0.5 * 0.4))
    assert found["moving_video_vs_x265_inter"] == pytest.approx(0.8)
    assert found["pair_vs_h265_input"] == 2


@pytest.mark.parametrize("start", [0, 4, 9])
def test_settings_are_walked_until_both_levels_are_bracketed(start: int) -> None:
    walked: list[int] = []

    def measure(rung: int) -> tuple[float, float]:
        walked.append(rung)
        return float(np.log(1e-3 * 2.0**rung)), 10.0 - rung

    points = bracketed(10, measure, (0.003, 0.03), start)
    assert min(walked) == min(start, 1)
    assert max(walked) == max(start, 5)
    assert len(walked) == len(set(walked)) == len(points)
    assert at_level(points, 0.004) == pytest.approx(np.exp(8))
    assert at_level(points, 10.0) is None


@pytest.mark.parametrize("most", [1, 3, 9, 255])
def test_zstd_packs_by_what_occurs(most: int) -> None:
    pytest.importorskip("constriction")
    from codec_bench.peers import zstd

    symbols = np.random.default_rng(most).integers(0, most, (3, 5, 7), np.uint8, endpoint=True)
    lifted = (symbols // 2 + 100).astype(np.uint8)
    for one in (symbols, lifted, np.full((3, 5, 7), 4, np.uint8)):
        coder = zstd(19, 8, (3, 5, 7))
        np.testing.assert_array_equal(coder.decode(coder.encode(coder.prepare(one))), one)
