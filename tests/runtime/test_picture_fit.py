"""Resizing with a border or a crop, and the way back to the picture's own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from splitc.runtime import Reader
from splitc.runtime.picture_fit import fit_of, of_region
from splitc.runtime.pictures import fit_picture
from splitc.types import Placement, Preprocess, TensorSpec

SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))
HOWS = st.builds(
    Preprocess,
    resize=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    fit=st.sampled_from(["stretch", "letterbox", "cover"]),
    anchor=st.sampled_from(["centre", "top_left"]),
)


@pytest.mark.parametrize(
    ("size", "how", "resized", "box"),
    [
        pytest.param((40, 20), {"fit": "stretch"}, (32, 32), (0, 0, 32, 32), id="stretch"),
        pytest.param((40, 20), {"fit": "letterbox"}, (32, 16), (0, -8, 32, 24), id="letterbox-wide"),
        pytest.param((20, 40), {"fit": "letterbox"}, (16, 32), (-8, 0, 24, 32), id="letterbox-tall"),
        pytest.param((40, 20), {"fit": "letterbox", "anchor": "top_left"}, (32, 16), (0, 0, 32, 32), id="top-left"),
        pytest.param((40, 19), {"fit": "letterbox"}, (32, 15), (0, -8, 32, 24), id="odd-pixel-below"),
        pytest.param((32, 32), {"fit": "letterbox"}, (32, 32), (0, 0, 32, 32), id="nothing-to-do"),
        pytest.param((4000, 1), {"fit": "letterbox"}, (32, 1), (0, -15, 32, 17), id="a-line"),
        pytest.param((40, 20), {"fit": "cover"}, (64, 32), (16, 0, 48, 32), id="cover"),
    ],
)
def test_fits(size: tuple[int, int], how: dict, resized: tuple[int, int], box: tuple[int, ...]) -> None:
    fit = fit_of(size, Preprocess(resize=(32, 32), **how))
    assert (fit.resized, fit.box, fit.size) == (resized, box, (32, 32))


ROUNDING = 1e-9
"""float64 there and back: a few units in the last place of numbers up to 300 * 300."""


@given(size=SIZES, how=HOWS)
def test_boxes_find_their_way_back(size: tuple[int, int], how: Preprocess) -> None:
    fit = fit_of(size, how)
    assert fit.size == (how.resize[1], how.resize[0])
    whole = np.array([[0, 0, *size], [size[0] / 4, size[1] / 4, size[0] / 2, size[1] / 2]])
    np.testing.assert_allclose(fit.placement.to_picture(fit.placement.to_input(whole)), whole, atol=ROUNDING)
    if how.fit == "letterbox":
        x1, y1, x2, y2 = fit.placement.area
        assert -ROUNDING <= x1 < x2 <= fit.size[0] + ROUNDING
        assert -ROUNDING <= y1 < y2 <= fit.size[1] + ROUNDING
        assert x2 - x1 == pytest.approx(fit.size[0]) or y2 - y1 == pytest.approx(fit.size[1])


@given(size=SIZES, how=HOWS)
def test_pixels_lie_where_the_placement_says(size: tuple[int, int], how: Preprocess) -> None:
    fitted = fit_picture(Image.new("RGB", size, (255, 0, 0)), how)
    x1, y1, x2, y2 = (round(edge) for edge in fitted.placement.area)
    height, width = fitted.pixels.shape[:2]
    inside = np.zeros((height, width), bool)
    inside[max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = True
    assert (fitted.pixels[inside] == (255, 0, 0)).all()
    assert (fitted.pixels[~inside] == how.pad).all()


def test_the_border_has_its_level_and_grey_has_one_channel() -> None:
    how = Preprocess(resize=(8, 8), fit="letterbox", pad=7, channels="grey")
    pixels = fit_picture(Image.new("RGB", (8, 4), (90, 90, 90)), how).pixels
    assert pixels.shape == (8, 8, 1)
    assert pixels[:, 0, 0].tolist() == [7, 7, 90, 90, 90, 90, 7, 7]


def test_a_region_is_placed_in_its_picture() -> None:
    whole = of_region(Placement((2.0, 2.0), (5.0, 0.0), (10, 10), (30, 20)), (30, 20, 40, 30), (100, 80))
    assert whole == Placement((2.0, 2.0), (-55.0, -40.0), (100, 80), (30, 20))
    np.testing.assert_array_equal(whole.to_picture(np.array([[5.0, 0.0, 25.0, 20.0]])), [[30, 20, 40, 30]])


def test_samples_of_pictures_know_where_the_picture_lies(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.zeros((1, 3, 32, 32), "f4"))
    inputs = [TensorSpec(name="x", dtype="float32", shape=("N", 3, 32, 32))]
    reader = Reader(inputs, Preprocess(resize=(32, 32), fit="letterbox"), regions=2)
    whole, region, array = reader.samples([tmp_path / "a.png", tmp_path / "b.npy"])
    assert whole.placement == Placement((0.8, 0.8), (0.0, 8.0), (40, 20), (32, 32))
    assert region.placement is not None
    assert region.placement.size == (40, 20)
    assert array.placement is None
    assert reader.count(tmp_path / "a.png") == 2
