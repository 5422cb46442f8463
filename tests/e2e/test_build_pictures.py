"""Recipes with a picture codec: the head makes UINT8 symbols, the host tiles and codes them; what is lost shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_setting import build, cli, setting, write_setting

from splitc.bundle import open_bundle
from splitc.codec.entropy.picture_tables import PictureTables
from splitc.runtime import read_contract

pytest.importorskip("av", reason="needs splitc[video]")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_setting(tmp_path_factory.mktemp("pictures"))


def codec(entropy: str = "hevc", *more: str) -> list[str]:
    return setting(f"codec.entropy={entropy}", "codec.quantizer=uniform", "codec.bits=8", *more)


def checked(folder: Path) -> tuple[dict[str, dict[str, float]], float]:
    """Stages of verify.json by name, and the rate."""
    document = open_bundle(folder).read_json("verify.json")
    return {stage["name"]: stage for stage in document["stages"]}, document["rate_bpe"]


@pytest.mark.parametrize("entropy", ["hevc", "h264", "av1"])
@pytest.mark.parametrize("tiling", ["mosaic", "quilt", "channel_frames"])
def test_rc4_rc5_ri8_a_recipe_builds_and_shows_what_is_lost(
    source: Path, tmp_path: Path, entropy: str, tiling: str
) -> None:
    outcome = build(source, tmp_path / "x", *codec(entropy, f"codec.tiling={tiling}", "codec.hevc_qp=24"))
    assert outcome.code == 0, outcome.err
    stages, rate = checked(tmp_path / "x")
    assert stages["split"]["max_abs_diff"] == 0.0
    assert stages["coded"]["added_max_abs_diff"] > 0.0
    assert stages["coded"]["cosine"] > 0.97
    assert 0 < rate < 8
    encoder = {"hevc": "libx265", "h264": "libx264", "av1": "libsvtav1"}[entropy]
    assert f"{encoder} (PyAV)" in open_bundle(tmp_path / "x").read_json("report.json")["versions"]
    assert f"{encoder} (PyAV)" in (tmp_path / "x" / "report.html").read_text("utf-8")
    contract = read_contract(open_bundle(tmp_path / "x"))
    assert (contract.quantized_in, contract.wire[0].dtype) == ("graph", "uint8")


@pytest.mark.parametrize("entropy", ["rans", "range", "zstd", "huffman", "hevc"])
def test_rc15_every_report_has_a_lossless_row(source: Path, tmp_path: Path, entropy: str) -> None:
    """zstd on the same symbols, from real packets, stands beside the rate of every coder, lossy ones too."""
    assert build(source, tmp_path / "x", *setting(f"codec.entropy={entropy}")).code == 0
    bundle = open_bundle(tmp_path / "x")
    verified, page = bundle.read_json("verify.json"), (tmp_path / "x" / "report.html").read_text("utf-8")
    assert verified["baseline"].startswith("zstd-19 on the same symbols")
    assert 0 < verified["baseline_rate_bpe"] < 8
    assert page.count(f"{verified['baseline_rate_bpe']:.3f}") >= 1
    assert "zstd-19" in page
    if entropy == "zstd":
        assert verified["baseline_rate_bpe"] == verified["rate_bpe"]


def test_rc5_a_higher_qp_takes_fewer_bytes_and_loses_more(source: Path, tmp_path: Path) -> None:
    outcomes = []
    for qp in (12, 22, 32, 42):
        assert build(source, tmp_path / f"{qp}", *codec("hevc", f"codec.hevc_qp={qp}")).code == 0
        stages, rate = checked(tmp_path / f"{qp}")
        outcomes.append((-rate, stages["coded"]["added_kl"]))
    assert outcomes == sorted(outcomes)
    assert [loss for _, loss in outcomes] == sorted(loss for _, loss in outcomes)


def test_parameter_sets_are_in_the_contract_and_not_in_the_rate(source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "x", *codec("hevc", "codec.hevc_qp=51")).code == 0
    fitted = read_contract(open_bundle(tmp_path / "x")).fitted_codec("00" * 32)
    sets = PictureTables.from_bytes(fitted.tensors[0].tables).parameter_sets
    assert sets.count(b"\0\0\1") == 3
    assert open_bundle(tmp_path / "x").read_json("verify.json")["payload_bytes_mean"] < 120


def test_run_and_verify_read_the_bundle(source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "x", *codec("hevc", "codec.tiling=channel_frames", "codec.gop=1")).code == 0
    assert cli("verify", tmp_path / "x", "--data", source / "pictures" / "*.png").code == 0
    assert cli("run", tmp_path / "x", *sorted((source / "pictures").glob("*.png"))[:2]).code == 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(
            ["codec.tiling=quilt"],
            "codec.tiling: neither quantizer 'step', temporal",
            id="tiling",
        ),
        pytest.param(
            ["codec.hevc_qp=30"],
            "codec.hevc_qp: neither quantizer 'step', temporal",
            id="qp",
        ),
        pytest.param(["codec.entropy=hevc", "codec.bits=13"], "'hevc' takes at most 12 bits, got 13", id="bits"),
        pytest.param(
            ["codec.entropy=hevc", "codec.temporal=dpcm"], "'hevc' predicts between pictures itself", id="temporal"
        ),
        pytest.param(["codec.entropy=hevc", "codec.tiling=clip"], "have no time, must be [n, C, T, H, W]", id="clip"),
        pytest.param(["codec.entropy=hevc", "codec.gop=15"], "codec.gop: must be left out", id="gop"),
    ],
)
def test_what_cannot_be_is_refused(source: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    outcome = build(source, tmp_path / "x", *setting(*overrides))
    assert outcome.code == 2
    assert message in outcome.err
    assert not (tmp_path / "x").exists()
