"""Colour pictures through the video codecs; one place opens encoders; options are read without PyAV."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import splitc
from splitc.codec import ENTROPY_CODERS, PICTURE_CODERS, TILINGS, CodecSpec, code_video
from splitc.codec.pictures import PICTURE_CODECS
from splitc.errors import CapabilityError, CodecError, UsageError

ROOT = Path(splitc.__file__).parent


def film(count: int = 5, shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    frames = np.full((count, *shape, 3), 90, np.uint8)
    for index in range(count):
        frames[index, 8:24, 8 + index : 24 + index] = (200, 40, 120)
    return frames


@pytest.mark.parametrize("codec", list(PICTURE_CODECS))
@pytest.mark.parametrize("shape", [(64, 80), (67, 65)], ids=str)
def test_pictures_come_back_near_and_smaller_at_a_larger_crf(codec: str, shape: tuple[int, int]) -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    frames = film(shape=shape)
    few, coarse = code_video(frames, 45, codec)
    many, fine = code_video(frames, 10, codec)
    assert few < many < frames.nbytes
    assert coarse.shape == fine.shape == frames.shape
    assert fine.dtype == np.uint8
    assert np.abs(fine.astype(int) - frames).mean() < 4  # 4:2:0 blurs the colours of the square's border


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no scheduling policies here")
@pytest.mark.parametrize("codec", list(PICTURE_CODECS))
def test_video_encoders_leave_no_real_time_threads(codec: str) -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    before = os.sched_getscheduler(0)
    code_video(film(2), 30, codec)
    assert {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")} == {before}


def test_what_is_no_film_is_refused() -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    with pytest.raises(CodecError, match=r"unknown video codec 'h265'\. Did you mean 'h264'\? Known: av1, h264, hevc"):
        code_video(film(), 30, "h265")
    with pytest.raises(CodecError, match=r"h264: frames are float32 \[5, 64, 80, 3\], must be uint8 \[T, H, W, 3\]"):
        code_video(film().astype(np.float32), 30)
    with pytest.raises(CodecError, match=r"h264: pictures of 2 x 9000, sides must be 1..8192"):
        code_video(np.zeros((1, 2, 9000, 3), np.uint8), 30)


@pytest.mark.parametrize(
    ("shape", "coded", "codec"),
    [
        ((9, 14), (64, 64), "h264"),
        ((33, 100), (64, 100), "h264"),
        ((224, 225), (224, 226), "h264"),
        ((9, 14), (128, 128), "hevc"),
        ((100, 224), (128, 224), "hevc"),
    ],
)
def test_small_pictures_are_coded_in_a_size_at_which_runs_agree(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], coded: tuple[int, int], codec: str
) -> None:
    """Looking ahead, x264 gives other bytes for pictures of 32 x 32 from run to run, x265 for 64 x 64."""
    video = pytest.importorskip("splitc.codec.pictures.video", exc_type=CapabilityError, reason="needs splitc[video]")
    opened, real = [], video.open_encoder

    def noting(codec: object, size: tuple[int, int], *how: object) -> object:
        opened.append(size)
        return real(codec, size, *how)

    monkeypatch.setattr(video, "open_encoder", noting)
    frames = np.random.default_rng(1).integers(0, 256, (2, *shape, 3), np.uint8)
    assert code_video(frames, 20, codec)[1].shape == frames.shape
    assert opened == [coded]


def test_one_module_opens_encoders_and_decoders() -> None:
    """So that one place keeps encoders from leaving real-time threads."""
    files = [path.relative_to(ROOT) for path in ROOT.rglob("*.py") if "CodecContext.create" in path.read_text("utf-8")]
    assert files == [Path("codec/pictures/pyav.py")]


WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from splitc.codec import ENTROPY_CODERS, CodecSpec, PAPERS, code_video
from splitc.errors import CapabilityError
import numpy as np
assert ENTROPY_CODERS.load("hevc").model_fields["hevc_qp"].default == 22
spec = PAPERS["hevc_tiling"]
for use in (spec.resolved, spec.make_entropy, lambda: code_video(np.zeros((1, 16, 16, 3), np.uint8), 30)):
    try:
        use()
    except CapabilityError as error:
        print(error)
"""


def test_options_are_read_without_pyav_and_use_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYAV], capture_output=True, text=True, check=True)
    needs = "entropy coder 'hevc' needs 'av': pip install 'splitc[video]'."
    assert done.stdout.splitlines() == [
        needs,
        needs,
        "picture codecs need PyAV, which is not installed: pip install 'splitc[video]'.",
    ]


@pytest.mark.parametrize("name", PICTURE_CODERS)
def test_tilings_and_presets_are_checked_with_the_options(name: str) -> None:
    for tiling in TILINGS:
        assert ENTROPY_CODERS.read(name, {"tiling": tiling}).model_dump()["tiling"] == tiling
    with pytest.raises(UsageError, match=r"tiling: 'mosiac' is not a choice\. Did you mean 'mosaic'\? Known: channel_"):
        ENTROPY_CODERS.read(name, {"tiling": "mosiac"})
    with pytest.raises(UsageError, match="preset: Input should be 'ultrafast', "):
        ENTROPY_CODERS.read(name, {"preset": "fastest"})


def test_presets_reach_the_encoder() -> None:
    pytest.importorskip("av", reason="needs splitc[video]")
    coder = ENTROPY_CODERS.make("hevc", {"preset": "ultrafast"})
    assert coder.model_dump()["preset"] == "ultrafast"
    assert CodecSpec(entropy="hevc").make_entropy().model_dump()["preset"] == "medium"
