"""Pictures as JPEG files: whatever they show."""

from __future__ import annotations

import io

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from PIL import Image, ImageFile

from splitc import graph
from splitc.recipe import SplitSection
from splitc.runtime import Sample
from splitc.tasks import TASKS, BindRequest, LabelTable
from splitc.trials import CutTrials, InputTrials, Subject
from splitc.trials.codings import CODINGS, JPEG_QUALITIES, Coding, jpeg_from_pixels
from splitc.types import Preprocess


@pytest.mark.parametrize("size", [(224, 224), (8, 8), (1, 1), (640, 640), (1, 3000)], ids=str)
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
def test_noise_is_coded_at_every_quality(size: tuple[int, int], channels: int) -> None:
    """Pillow's guess of the buffer for an optimized file is too small for noise: its save fails."""
    before = ImageFile.MAXBLOCK
    pixels = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    extremes = pixels // 128 * np.uint8(255)
    for quality in JPEG_QUALITIES:
        for one in (pixels, extremes):
            restored = np.asarray(Image.open(io.BytesIO(jpeg_from_pixels(one, quality))))
            assert restored.reshape(one.shape).shape == one.shape
    assert before == ImageFile.MAXBLOCK


def test_tables_are_made_for_the_picture() -> None:
    pixels = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    plain = io.BytesIO()
    Image.fromarray(pixels).save(plain, "JPEG", quality=75)
    assert len(jpeg_from_pixels(pixels, 75)) < plain.tell()


def pictures(side: int, channels: int) -> np.ndarray:
    """Three smooth pictures and some noise, ``[3, side, side, channels]``."""
    random = np.random.default_rng(side)
    ramp = np.linspace(0, 200, side)[None, :, None, None] + np.linspace(0, 40, side)[None, None, :, None]
    return np.clip(ramp + random.normal(0, 4, (3, side, side, channels)), 0, 255).astype(np.uint8)


def usable(name: str, channels: int) -> Coding:
    coding = CODINGS[name]
    if coding.fault(64):
        pytest.skip(coding.fault(64))
    if coding.is_video:
        pytest.importorskip("av")
        if channels == 1:
            pytest.skip("video is coded in colour")
    return coding


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "rgb"])
@pytest.mark.parametrize("side", [1, 8, 33, 64])
def test_every_coding_is_the_same_each_time_and_gives_back_its_shape(name: str, channels: int, side: int) -> None:
    """Small pictures too: x264 looks ahead and would differ from run to run below 64 pixels."""
    coding, pixels = usable(name, channels), pictures(side, channels)
    middle = coding.settings[len(coding.settings) // 2]
    size, restored = coding.through(pixels, middle)
    again = coding.through(pixels, middle)
    assert size == again[0] > 0
    np.testing.assert_array_equal(restored, again[1])
    assert restored.shape == pixels.shape


@pytest.mark.parametrize("name", CODINGS)
def test_settings_rise_from_the_worst_to_the_best(name: str) -> None:
    coding, pixels = usable(name, 3), pictures(96, 3)
    coded = [coding.through(pixels, coding.settings[index]) for index in (0, len(coding.settings) // 2, -1)]
    sizes = [size for size, _ in coded]
    errors = [float(np.abs(restored.astype(int) - pixels).mean()) for _, restored in coded]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 4  # WebP and video blur the colours of noise


def test_titles() -> None:
    assert CODINGS["JPEG"].title(83.46) == "JPEG quality 83.5"
    assert CODINGS["JPEG"].title(100) == "JPEG quality 100"
    assert CODINGS["H.264"].title(27.0) == "H.264 at CRF 27"


def test_webp_says_what_is_too_large_for_it() -> None:
    assert "at most 16383 pixels a side" in CODINGS["WebP"].fault(20_000)


CLIPS = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,1,2,8,8] clip) => (float[N,128] values) { values = Flatten(clip) }
"""


@pytest.mark.parametrize(
    ("sends_pixels", "said"),
    [(True, "no H.264 or H.265 row: the model's input is grey"), (False, "no row of a coded input: the samples")],
)
def test_what_cannot_be_coded_is_said_of_every_coding(sends_pixels: bool, said: str) -> None:
    model = graph.model_from_ir(ir.from_proto(onnx.parser.parse_model(CLIPS)))
    task = TASKS.make("regression", {}).bind(BindRequest(outputs=model.outputs, inputs=model.inputs))
    samples = [Sample(str(i), {"clip": np.zeros((1, 1, 2, 8, 8), np.float32)}) for i in range(4)]
    split, plain = SplitSection(at="auto"), Preprocess(channels="grey")
    subject = Subject(model, samples, LabelTable({}), task, plain, split, sends_pixels=sends_pixels)
    coded = InputTrials(subject, CutTrials(subject))
    assert coded(1.0) == []
    assert [one[: len(said)] for one in coded.skipped] == [said]
