"""Files of drawn answers: their names, and videos of any size."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitc.errors import UsageError
from splitc.runtime import FileNames, Sample
from splitc.runtime.drawings import Drawings
from splitc.runtime.video_writer import write_video
from splitc.tasks.class_scores import ClassScores

av = pytest.importorskip("av", reason="the video extra is not installed")


def test_every_input_has_a_file_of_its_own(tmp_path: Path) -> None:
    names = FileNames(tmp_path)
    stems = ["cat", "Cat", "cat", "cat-2", "../up", "", "a b/c"]
    found = [names.new(stem, ".png").name for stem in stems]
    assert found == ["cat.png", "Cat-2.png", "cat-3.png", "cat-2-2.png", "_up.png", "input.png", "a_b_c.png"]


@pytest.mark.parametrize(("size", "wanted"), [((48, 36), (48, 36)), ((47, 35), (46, 34)), ((2, 2), (2, 2))], ids=str)
def test_videos_have_even_sizes(tmp_path: Path, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    with write_video(tmp_path / "x.mp4", size, Fraction(30)) as writer:
        for shade in range(0, 250, 25):
            writer.add(Image.new("RGB", size, (shade, shade, shade)))
        writer.add(Image.new("L", (100, 80)))
    with av.open(str(tmp_path / "x.mp4")) as opened:
        frames = list(opened.decode(opened.streams.video[0]))
    assert len(frames) == 11
    assert {(frame.width, frame.height) for frame in frames} == {wanted}


def test_a_video_that_cannot_be_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="frames of 1 x 9 pixels make no video"), ExitStack() as opened:
        opened.enter_context(write_video(tmp_path / "x.mp4", (1, 9), Fraction(30)))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_camera_leaves_a_whole_video(tmp_path: Path) -> None:
    """The address may hold a password, so the file is called after the path in it."""
    drawings = Drawings(tmp_path)
    for _ in range(3):
        sample = Sample("x", {}, "rtsp://user:secret@camera/front?key=1", picture=Image.new("RGB", (32, 24)))
        drawings.add(sample, ClassScores(np.array([0.25, 0.75])))
    drawings.close()
    assert [path.name for path in tmp_path.iterdir()] == ["front.mp4"]
    with av.open(str(tmp_path / "front.mp4")) as opened:
        assert len(list(opened.decode(opened.streams.video[0]))) == 3
