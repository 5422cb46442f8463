"""Thousands of pictures, and long clips, from the shared ones."""

from __future__ import annotations

import zipfile
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
from bench_data import DATA

CLIP = DATA / "videos/vtest_first300.avi"
WIDTH, HEIGHT = 384, 288
"""Of the long clips: half of the original's."""


def extract_pictures(folder: Path, count: int) -> None:
    """The first ``count`` pictures of Tiny-ImageNet's test set, 64 x 64."""
    with zipfile.ZipFile(DATA / "images/tinyimagenet_test_10k.zip") as archive:
        archive.extractall(folder, archive.namelist()[:count])


def write_clip(path: Path, frames: int, shift: int) -> None:
    """A static camera's clip, forwards and backwards again and again; each turn is moved sideways.

    Args:
        path: Where the video goes.
        frames: How many.
        shift: Pixels that the first turn is moved by; other shifts make other clips.
    """
    with av.open(str(CLIP)) as source:
        shown = [frame.reformat(WIDTH, HEIGHT, "rgb24").to_ndarray() for frame in source.decode(video=0)]
    turn = [*shown, *reversed(shown)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10, options={"qscale": "3"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, picture in enumerate(islice(cycle(turn), frames)):
            moved = np.roll(picture, shift + 7 * (index // len(turn)), axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(moved), "rgb24")))
        out.mux(stream.encode())
