"""Tilings: exact inverses for any number of channels, and the arrangements that the papers name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import splitc.codec
from splitc.codec.tilings import TILINGS
from splitc.codec.tilings.base import grid_of
from splitc.errors import CodecError, UsageError

FORMAT = (Path(splitc.codec.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
PICTURES = ["mosaic", "quilt", "channel_frames"]
SHAPES = [
    (1, 1, 1, 1),
    (1, 7, 5, 3),
    (2, 256, 4, 4),
    (3, 480, 2, 5),
    (1, 13, 13, 13),
    (2, 10),
    (2, 5, 7),
    (2, 3, 4, 5, 6),
]


def numbered(shape: tuple[int, ...], dtype: type = np.uint16) -> np.ndarray:
    return (np.arange(np.prod(shape)) % np.iinfo(dtype).max).astype(dtype).reshape(shape)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ri8_rc4_tilings_invert_exactly(name: str, shape: tuple[int, ...], dtype: type) -> None:
    tiling, x = TILINGS.make(name, {}), numbered(shape, dtype)
    frames = tiling.tile(x)
    assert frames.shape == tiling.frames_shape(shape)
    assert frames.dtype == dtype
    assert frames.flags.c_contiguous
    back = tiling.untile(frames, shape)
    assert back.flags.c_contiguous
    assert np.array_equal(back, x)


@pytest.mark.parametrize("shape", [(1, 2048, 4, 8, 8), (3, 7, 2, 5, 3), (2, 5, 4, 3, 1, 2), (1, 1, 1, 1, 1)], ids=str)
def test_rx4_clips_invert_exactly(shape: tuple[int, ...]) -> None:
    tiling, x = TILINGS.make("clip", {}), numbered(shape)
    frames = tiling.tile(x)
    assert frames.shape == tiling.frames_shape(shape)
    assert np.array_equal(tiling.untile(frames, shape), x)


def test_rx4_2048_maps_make_frames_of_512_by_256_in_time_order() -> None:
    x = numbered((2, 2048, 4, 8, 8))
    frames = TILINGS.make("clip", {}).tile(x)
    assert frames.shape == (8, 256, 512)
    assert np.array_equal(frames[5, 8:16, 16:24], x[1, 64 + 2, 1])


def test_ri8_256_channels_make_a_grid_of_16_by_16() -> None:
    x = numbered((1, 256, 52, 52))
    assert TILINGS.make("mosaic", {}).tile(x).shape == (1, 832, 832)
    assert np.array_equal(TILINGS.make("mosaic", {}).tile(x)[0, 52:104, 104:156], x[0, 18])


def test_ri8_quilt_takes_pixel_16y_r_16x_c_from_channel_16r_c() -> None:
    x = numbered((1, 256, 52, 52))
    picture = TILINGS.make("quilt", {}).tile(x)[0]
    for y, r, column, c in [(0, 0, 0, 0), (3, 5, 51, 15), (51, 15, 7, 2)]:
        assert picture[16 * y + r, 16 * column + c] == x[0, 16 * r + c, y, column]


def test_rc4_13_by_13_pads_to_16_by_16_by_repeating_the_border() -> None:
    x = numbered((2, 3, 13, 13))
    frames = TILINGS.make("channel_frames", {}).tile(x)
    assert frames.shape == (6, 16, 16)
    assert np.array_equal(frames[4, :13, :13], x[1, 1])
    for row in (13, 14, 15):
        assert np.array_equal(frames[:, row], frames[:, 12])
        assert np.array_equal(frames[:, :, row], frames[:, :, 12])


@pytest.mark.parametrize(
    ("channels", "grid"),
    [
        (1, (1, 1)),
        (2, (1, 2)),
        (3, (2, 2)),
        (7, (3, 3)),
        (24, (4, 6)),
        (112, (8, 14)),
        (1280, (32, 40)),
        (997, (32, 32)),
    ],
)
def test_grid_is_near_square_and_has_no_empty_cells_where_possible(channels: int, grid: tuple[int, int]) -> None:
    assert grid_of(channels) == grid


@pytest.mark.parametrize("channels", range(1, 300))
def test_grid_holds_every_channel(channels: int) -> None:
    rows, columns = grid_of(channels)
    assert rows <= columns <= max(2 * rows, 2)
    assert (rows - 1) * columns < channels <= rows * columns


@pytest.mark.parametrize("name", list(TILINGS))
def test_what_cannot_be_tiled_is_refused(name: str) -> None:
    tiling = TILINGS.make(name, {})
    with pytest.raises(CodecError, match=rf"{name}: symbols of shape \[3\]"):
        tiling.tile(numbered((3,)))
    with pytest.raises(CodecError, match=rf"{name}: frames have shape \[1, 2, 2\], must be \["):
        tiling.untile(numbered((1, 2, 2)), (1, 8, 3, 4, 4))
    with pytest.raises(CodecError, match=f"{name}: symbols of shape"):
        tiling.frames_shape((1, 0, 2, 4, 4))


def test_unknown_tiling_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown tiling 'mosiac'\. Did you mean 'mosaic'\?"):
        TILINGS.make("mosiac", {})


def test_format_tilings_are_the_registry_s() -> None:
    found = {
        name: int(number) for number, name in re.findall(r"\| (\d+) \| `(mosaic|quilt|channel_frames|clip)` \|", FORMAT)
    }
    assert found == {name: TILINGS.load(name).wire_id for name in TILINGS}
