"""Gates: a build that misses one exits 1, keeps what was built aside and leaves ``out`` alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_setting import RECIPE, build, cli, file_bytes, listing, setting, write_setting
from onnx import parser

from splitc.backends import BACKENDS
from splitc.bundle import open_bundle

HELD = ["gate.min_fidelity=0.1", "gate.max_rate_bpe=4.0", "gate.max_edge_bytes='1MB'", "gate.max_edge_ms=1000.0"]


def test_gates_that_hold_are_reported(source: Path, tmp_path: Path) -> None:
    outcome = build(source, tmp_path / "x", *setting(*HELD))
    assert outcome.code == 0, outcome.err
    gates = outcome.document["gates"]
    assert [gate["name"] for gate in gates] == ["min_fidelity", "max_rate_bpe", "max_edge_bytes", "max_edge_ms"]
    assert all(gate["ok"] for gate in gates)
    assert gates[1]["value"] == outcome.document["rate_bpe"]
    assert gates[2]["value"] == (tmp_path / "x/edge/model.onnx").stat().st_size
    assert gates[2]["limit"] == 1_000_000


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        pytest.param("gate.max_rate_bpe=0.01", "max_rate_bpe is ", id="rate"),
        pytest.param("gate.max_edge_bytes=100", "the limit is 100 (size of edge/model.onnx)", id="bytes"),
        pytest.param("gate.max_edge_ms=1e-9", "max_edge_ms is ", id="ms"),
    ],
)
def test_a_missed_gate(gate: str, words: str, source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "x").code == 0
    before = file_bytes(tmp_path / "x")
    outcome = build(source, tmp_path / "x", *setting(gate, *HELD[:1]))
    assert outcome.code == 1
    assert words in outcome.err
    assert outcome.err.splitlines()[-1].endswith(f"is untouched; what was built stands at {tmp_path / 'x.rejected'}.")
    assert file_bytes(tmp_path / "x") == before
    assert listing(tmp_path) == {"x", "x.rejected"}
    assert outcome.document["bundle"] == str(tmp_path / "x.rejected")
    assert [one["ok"] for one in outcome.document["gates"]] == [True, False]
    assert open_bundle(tmp_path / "x.rejected").read_json("report.json")["gates"] == outcome.document["gates"]


def test_without_json_a_missed_gate_prints_nothing_on_stdout(source: Path, tmp_path: Path) -> None:
    outcome = cli("build", source / "recipe.toml", "--out", tmp_path / "x", *setting("gate.max_rate_bpe=0.01"))
    assert (outcome.code, outcome.out) == (1, "")
    assert listing(tmp_path) == {"x.rejected"}


def test_a_place_called_json_is_no_wish_for_json(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli("build", source / "recipe.toml", "--out", "--json", *setting("gate.max_rate_bpe=0.01"))
    assert (outcome.code, outcome.out) == (1, "")
    assert listing(tmp_path) == {"--json.rejected"}


def test_a_missed_fidelity_names_value_and_limit(source: Path, tmp_path: Path) -> None:
    """One bit and one range for the tensor: the answers change."""
    coarse = ["codec.bits=1", "codec.scope=tensor", "codec.reconstruction=midpoint", "split.at=stem/conv"]
    outcome = build(source, tmp_path / "x", *setting("gate.min_fidelity=1.0", *coarse))
    assert outcome.code == 1
    assert f"min_fidelity is {outcome.document['fidelity']:.4g}, the limit is 1 (verification)" in outcome.err
    assert outcome.document["fidelity"] < 1


def test_a_second_missed_build_replaces_what_the_first_left(source: Path, tmp_path: Path) -> None:
    for bits in (2, 4):
        assert build(source, tmp_path / "x", *setting("gate.max_rate_bpe=0.01", f"codec.bits={bits}")).code == 1
    assert listing(tmp_path) == {"x.rejected"}
    assert open_bundle(tmp_path / "x.rejected").read_json("report.json")["codec"]["bits"] == 4


def test_a_missed_gate_is_said_even_where_nothing_can_be_kept(source: Path, tmp_path: Path) -> None:
    (tmp_path / "x.rejected").mkdir()
    (tmp_path / "x.rejected/mine.txt").write_text("not a bundle", "utf-8")
    outcome = build(source, tmp_path / "x", *setting("gate.max_rate_bpe=0.01"))
    assert outcome.code == 1
    assert "max_rate_bpe is " in outcome.err
    assert "nothing was kept" in outcome.err
    assert [gate["name"] for gate in outcome.document["gates"]] == ["max_rate_bpe"]
    assert (tmp_path / "x.rejected/mine.txt").read_text("utf-8") == "not a bundle"


@pytest.mark.trt
def test_an_engine_that_fails_is_a_missed_gate(tmp_path: Path) -> None:
    if not BACKENDS.make("tensorrt_rtx", {}).probe().ok:
        pytest.skip("the trt-rtx extra is not installed")
    text = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,3,32,32] image) => (float[N,3] logits) {
      lit = Relu(image)
      pooled = GlobalAveragePool(lit)
      flat = Flatten(pooled)
      q, s, z = DynamicQuantizeLinear(flat)
      logits = Cast<to = 1>(q)
    }"""
    folder = write_setting(
        tmp_path / "source", parser.parse_model(text), RECIPE.replace('at = "block/out"', 'at = "lit"')
    )
    target = ["target.cloud.backend=tensorrt_rtx", "target.cloud.device=l4"]
    outcome = build(folder, tmp_path / "x", *setting(*target))
    assert outcome.code == 1
    assert "the cloud engine failed: " in outcome.err
    assert "DynamicQuantizeLinear" in outcome.err
    assert listing(tmp_path) == {"source", "x.rejected"}


def test_where_no_cut_keeps_the_limit_the_nearest_is_named(source: Path, tmp_path: Path) -> None:
    """One symbol of one bit: no cut keeps all answers."""
    coarse = setting("split.at=auto", "split.candidates=2", "codec={quantizer='uniform', bits=1, clip='minmax'}")
    outcome = build(source, tmp_path / "x", *coarse, *setting("gate.max_kl=1e-9"))
    assert outcome.code == 1
    assert "cuts that were measured keeps the limits, nearest came " in outcome.err
    assert "its divergence is " in outcome.err
    verdict = outcome.document["verdict"]
    assert verdict["nearest"]
    assert not verdict["is_worth_it"]
    assert verdict["headline"].startswith("NO CUT IS GOOD ENOUGH. Nearest comes ")
