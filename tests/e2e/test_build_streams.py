"""A recipe with prediction: frames in a row calibrate, build, verify and run as one stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from e2e_setting import SIDE, Outcome, build, cli, in_folder, setting, write_setting
from PIL import Image

from splitc.bundle import open_bundle
from splitc.codec.packet_header import read_header
from splitc.runtime import CloudHalf, EdgeHalf, Reader, read_contract, run_pair

FRAMES = 24


def frame(index: int) -> np.ndarray:
    """A still picture with a bright square that wanders, and noise, uint8 ``[36, 40, 3]``."""
    rng = np.random.default_rng(index)
    rows, columns = np.mgrid[0:36, 0:40]
    picture = np.stack([60 + 3 * rows, 60 + 2 * columns, 120 + rows - columns], axis=-1) + rng.normal(0, 2, (36, 40, 3))
    picture[10:16, index : index + 6] += 60
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small setting with frames of a clip for pictures."""
    folder = write_setting(tmp_path_factory.mktemp("street"))
    for path in (folder / "pictures").iterdir():
        path.unlink()
    for index in range(FRAMES):
        Image.fromarray(frame(index)).save(folder / "pictures" / f"frame{index:03}.png")
    return folder


def rate(folder: Path, out: Path, *overrides: str) -> float:
    outcome = build(folder, out, *setting(*overrides))
    assert outcome.code == 0, outcome.err
    return float(outcome.document["rate_bpe"])


def test_prediction_pays_from_recipe_to_report(street: Path, tmp_path: Path) -> None:
    alone = rate(street, tmp_path / "none")
    difference = rate(street, tmp_path / "difference", "codec.temporal=difference")
    dpcm = rate(street, tmp_path / "dpcm", "codec.temporal=dpcm", "codec.gop=30")
    assert dpcm < difference < 0.8 * alone
    contract = read_contract(open_bundle(tmp_path / "difference"))
    assert contract.quantized_in == "graph"
    assert read_contract(open_bundle(tmp_path / "dpcm")).quantized_in == "host"
    assert "gop = 30" in (tmp_path / "dpcm" / "recipe.lock.toml").read_text("utf-8")


IFMDC = ("codec.temporal=ifmdc", "codec.quantizer=clipped", "codec.levels=15", "codec.reconstruction=midpoint")


@pytest.mark.parametrize("entropy", ["rans", "nrle"])
def test_ri6_ifmdc_builds(street: Path, tmp_path: Path, entropy: str) -> None:
    assert rate(street, tmp_path / "x", *IFMDC, "codec.scope=tensor", f"codec.entropy={entropy}") < 4


@pytest.mark.slow
def test_a_pair_of_several_steps_holds_a_rate(street: Path, tmp_path: Path) -> None:
    """Motion, from the recipe to the command line."""
    rate(street, tmp_path / "x", "codec.temporal=motion", "codec.rungs=4", "codec.step=0.25")
    pictures = sorted((street / "pictures").iterdir())
    free = cli("run", tmp_path / "x", *pictures, "--json").document["results"]
    mean = sum(line["payload_bytes"] for line in free) / len(free)
    asked = ("--rate", f"{0.6 * mean * 8 * 10 / 1000:.3f} kbit/s", "--fps", 10)
    held = cli("run", tmp_path / "x", *pictures, *asked, "--json").document["results"]
    assert sum(line["payload_bytes"] for line in held) / len(held) < 0.8 * mean
    refused = cli("run", tmp_path / "x", pictures[0], "--rate", "fast")
    assert refused.code == 2
    assert "rate 'fast' is not like '200 kbit/s'" in refused.err
    rate(street, tmp_path / "one", "codec.temporal=dpcm")
    refused = cli("run", tmp_path / "one", pictures[0], "--rate", "2000 B/frame")
    assert refused.code == 2
    assert "the codec has one" in refused.err


def test_halves_are_one_stream(street: Path, tmp_path: Path) -> None:
    rate(street, tmp_path / "x", "codec.temporal=dpcm")
    bundle = open_bundle(tmp_path / "x")
    edge, cloud = EdgeHalf(bundle), CloudHalf(bundle)
    reader = Reader(edge.contract.inputs, edge.contract.preprocess)
    samples = list(reader.samples(sorted((street / "pictures").iterdir())))
    packets = [edge.encode(edge.symbols(sample.feeds)) for sample in samples]
    assert [index for index, packet in enumerate(packets) if read_header(packet).is_keyframe] == [0, 15]
    for packet in packets:
        cloud.decode(packet)
    assert edge.stream.state_digest == cloud.stream.state_digest
    sizes = [answer.bitstream_bytes for answer in run_pair(EdgeHalf(bundle), CloudHalf(bundle), samples)]
    assert sizes == [len(packet) for packet in packets]


def test_clips_in_arrays_are_streams_of_their_own(street: Path, tmp_path: Path) -> None:
    for clip in range(4):
        frames = np.stack([frame(index + clip)[:SIDE, :SIDE].transpose(2, 0, 1) for index in range(8)])
        np.save(tmp_path / f"clip{clip}.npy", frames.astype(np.float32) / 255)
    (tmp_path / "tiny.onnx").write_bytes((street / "tiny.onnx").read_bytes())
    text = (street / "recipe.toml").read_text("utf-8").replace("pictures/*.png", "*.npy")
    (tmp_path / "recipe.toml").write_text(text, "utf-8")
    assert rate(tmp_path, tmp_path / "x", "codec.temporal=difference") < 3.5
    verified = cli("verify", tmp_path / "x", "--base", tmp_path, "--json")
    assert (verified.code, verified.document["samples"]) == (0, 8), "the last clip verifies"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(["codec.temporal=dpcm", "data.crops=4"], "data.crops: crops are no", id="crops"),
        pytest.param(
            ["codec.temporal=dpcm", "codec.quantizer=log"], "temporal 'dpcm' needs even levels", id="quantizer"
        ),
        pytest.param(IFMDC[:2], "temporal 'ifmdc' needs reconstruction = \"midpoint\"", id="reconstruction"),
        pytest.param(
            ["codec.quantizer=clipped", "codec.levels=40"], "quantizer 'clipped': 40 levels need", id="levels"
        ),
        pytest.param(
            [
                "codec.temporal=difference",
                'data.calibration=["pictures/frame000.png"]',
                'data.verification=["pictures/frame001.png"]',
            ],
            "temporal 'difference' is fitted on consecutive frames, and no two samples are.",
            id="one-frame",
        ),
    ],
)
def test_refusals(street: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    with in_folder(street):
        outcome: Outcome = build(street, tmp_path / "x", *setting(*overrides))
    assert outcome.code == 2
    assert message in outcome.err
