"""One picture stored in many ways: read as a viewer shows it, or refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splitc.errors import UsageError
from splitc.runtime import Reader, read_picture
from splitc.runtime.pictures import picture_size
from splitc.types import Preprocess, TensorSpec

RAMP = np.add.outer(np.arange(12) * 8, np.arange(20) * 5).astype(np.uint8)
COLOURS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def saved(picture: Image.Image, file: Path, **how: object) -> Path:
    picture.save(file, **how)
    return file


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", sorted(TURNED))
def test_exif_orientation_is_applied(orientation: int, suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(COLOURS).transpose(TURNED[orientation])
    file = saved(stored, tmp_path / f"a{suffix}", exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(np.asarray(read_picture(file)), COLOURS)
    assert picture_size(file) == (20, 12)


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        pytest.param("a.png", Image.fromarray(RAMP), grey(RAMP), id="grey"),
        pytest.param("a.png", Image.fromarray(RAMP.astype(np.uint16) * 257), grey(RAMP), id="grey-16-png"),
        pytest.param("a.tif", Image.fromarray(RAMP.astype(np.uint16) * 257), grey(RAMP), id="grey-16-tif"),
        pytest.param("a.pgm", Image.fromarray(RAMP.astype(np.uint16) * 257), grey(RAMP), id="grey-16-pgm"),
        pytest.param("a.tif", Image.fromarray(RAMP.astype(np.float32) / 255), grey(RAMP), id="float"),
        pytest.param("a.tif", Image.fromarray(COLOURS).convert("CMYK"), COLOURS, id="cmyk"),
        pytest.param("a.png", Image.fromarray(COLOURS).convert("RGBA"), COLOURS, id="opaque"),
        pytest.param("a.png", Image.fromarray(RAMP).convert("LA"), grey(RAMP), id="la"),
        pytest.param("a.png", Image.fromarray(RAMP).convert("P"), grey(RAMP), id="palette"),
        pytest.param("a.png", Image.new("1", (20, 12), 1), np.full((12, 20, 3), 255), id="one-bit"),
        pytest.param("a.ppm", Image.fromarray(COLOURS), COLOURS, id="ppm"),
    ],
)
def test_modes(name: str, stored: Image.Image, shown: np.ndarray, tmp_path: Path) -> None:
    got = read_picture(saved(stored, tmp_path / name))
    assert got.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(got), shown)


def test_colours_of_16_bits_keep_their_upper_8(tmp_path: Path) -> None:
    """Pillow writes no such file, so this one is put together."""
    levels = (COLOURS.astype(np.uint16) * 256 + 77).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 20, 12, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    bodies = [(len(data), kind + data) for kind, data in parts]
    chunks = [struct.pack(">I", size) + body + struct.pack(">I", zlib.crc32(body)) for size, body in bodies]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png")), COLOURS)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        pytest.param(RAMP.astype(np.int32) * 257, "32-bit integers, whose range no header states", id="int32"),
        pytest.param(RAMP.astype(np.float32), "floating-point levels beyond 0 to 1", id="float-255"),
        pytest.param(np.full((3, 3), np.nan, np.float32), "floating-point levels beyond 0 to 1", id="nan"),
    ],
)
def test_levels_of_unknown_range_are_refused(levels: np.ndarray, words: str, tmp_path: Path) -> None:
    file = saved(Image.fromarray(levels), tmp_path / "a.tif")
    with pytest.raises(UsageError, match=rf"a\.tif: not a readable picture \({words}"):
        read_picture(file)


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 30)], ids=["white", "other"])
def test_transparency_shows_the_background(background: tuple[int, int, int], tmp_path: Path) -> None:
    pixels = np.dstack([np.full((4, 4, 3), (255, 0, 255)), np.zeros((4, 4))]).astype(np.uint8)
    pixels[2:, :, 3] = 255
    got = np.asarray(read_picture(saved(Image.fromarray(pixels), tmp_path / "a.png"), background))
    assert (got[:2] == background).all()
    assert (got[2:] == (255, 0, 255)).all()
    how = Preprocess(background=background, scale=1.0)
    inputs = [TensorSpec(name="x", dtype="float32", shape=("N", 3, 4, 4))]
    (sample,) = Reader(inputs, how).samples([tmp_path / "a.png"])
    assert sample.feeds["x"][0, :, 0, 0].tolist() == list(background)


def test_a_transparent_colour_of_a_palette_shows_the_background(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([255, 0, 255, 0, 255, 0])
    got = np.asarray(read_picture(saved(picture, tmp_path / "a.png", transparency=0)))
    assert (got == 255).all()


@pytest.mark.parametrize("suffix", [".gif", ".png", ".tif", ".webp"])
def test_the_first_of_an_animation_is_read_and_that_is_said(suffix: str, tmp_path: Path) -> None:
    first, second = Image.new("RGB", (6, 5), (200, 0, 0)), Image.new("RGB", (6, 5), (0, 200, 0))
    how = {"lossless": True} if suffix == ".webp" else {}
    file = saved(first, tmp_path / f"a{suffix}", save_all=True, append_images=[second], **how)
    still = saved(first, tmp_path / "b.png")
    assert (np.asarray(read_picture(file)) == (200, 0, 0)).all()
    reader = Reader([TensorSpec(name="x", dtype="float32", shape=("N", 3, 5, 6))], Preprocess())
    assert reader.remarks([file, still]) == [f"a{suffix} holds several pictures: the first is read"]
    assert reader.remarks([file, still, file]) == [
        f"a{suffix} and 1 more hold several pictures: the first is read of each"
    ]


def test_a_picture_cut_short_is_refused(tmp_path: Path) -> None:
    whole = saved(Image.fromarray(COLOURS), tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UsageError, match=r"a\.png: not a readable picture"):
        read_picture(tmp_path / "a.png")
