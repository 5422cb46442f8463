"""Pixels as an input has them: axes, channels, element types, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from splitc.errors import UsageError
from splitc.runtime import PixelFormat, pixel_format
from splitc.types import Preprocess, TensorSpec

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)


def form(dtype: str, shape: tuple[int | str, ...], **how: object) -> PixelFormat:
    return pixel_format(TensorSpec(name="x", dtype=dtype, shape=shape), Preprocess.model_validate(how))


@pytest.mark.parametrize(
    ("shape", "how", "is_nhwc"),
    [
        pytest.param(("N", 3, 4, 5), {}, False, id="nchw"),
        pytest.param(("N", 4, 5, 3), {}, True, id="nhwc"),
        pytest.param(("N", 3, "H", "W"), {}, False, id="nchw-dynamic"),
        pytest.param(("N", "H", "W", 3), {}, True, id="nhwc-dynamic"),
        pytest.param(("N", "C", "H", "W"), {}, False, id="nothing-fixed"),
        pytest.param(("N", 4, 5, 1), {"channels": "grey"}, True, id="grey-nhwc"),
        pytest.param(("N", 1, 4, 5), {"channels": "grey"}, False, id="grey-nchw"),
        pytest.param((1, 3, 8, 3), {"layout": "nhwc"}, True, id="either-said"),
        pytest.param((1, 3, 8, 3), {"layout": "nchw"}, False, id="either-said-nchw"),
        pytest.param((1, 3, 8, 4, 5), {}, False, id="clip"),
    ],
)
def test_where_the_channels_are(shape: tuple[int | str, ...], how: dict, is_nhwc: bool) -> None:
    assert form("float32", shape, **how).is_nhwc == is_nhwc


def test_a_shape_that_may_be_either_is_asked_about() -> None:
    with pytest.raises(UsageError, match=r"may be NCHW or NHWC; set data.preprocess.layout"):
        form("float32", (1, 3, 8, 3))


NORMAL = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}


@pytest.mark.parametrize("shape", [("N", 3, 4, 5), ("N", 4, 5, 3)], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize(
    ("dtype", "how"),
    [
        ("float32", {}),
        ("float32", NORMAL),
        ("float16", NORMAL),
        ("float64", NORMAL),
        ("uint8", {}),
        ("uint8", {"scale": 1.0}),
        ("int8", {"scale": 1.0, "mean": [128.0]}),
        ("int32", {}),
    ],
    ids=["unit", "float32", "float16", "float64", "uint8", "uint8-said", "int8", "int32"],
)
def test_pixels_there_and_back(dtype: str, how: dict, channels: str, shape: tuple[int | str, ...]) -> None:
    made = form(dtype, shape, channels=channels, **how)
    values = made.input_from_pixels(PIXELS)
    assert (values.dtype, values.shape[1:], values.flags.c_contiguous) == (np.dtype(dtype), shape[1:], True)
    np.testing.assert_array_equal(made.pixels_from_input(values), PIXELS)


def test_integers_take_pixels_as_they_are() -> None:
    np.testing.assert_array_equal(form("uint8", ("N", 4, 5, 3)).input_from_pixels(PIXELS), PIXELS)
    signed = form("int8", ("N", 4, 5, 3), scale=1.0, mean=[128.0]).input_from_pixels(PIXELS)
    np.testing.assert_array_equal(signed, PIXELS.astype(np.int16) - 128)


def test_integers_that_cannot_hold_the_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="give numbers from 0 to 255, and the input is int8"):
        form("int8", ("N", 3, 4, 5)).input_from_pixels(np.array([[[[0, 0, 0], [255, 255, 255]]]], np.uint8))


@pytest.mark.parametrize("dtype", ["bool", "string", "complex64", "bfloat17"])
def test_types_that_no_pixel_becomes(dtype: str) -> None:
    with pytest.raises(UsageError, match=f"input 'x' is {dtype}, which no picture becomes; give arrays"):
        form(dtype, ("N", 3, 4, 5))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"fit": "letterbox"}, 'must have resize = [height, width] with fit = "letterbox"'),
        ({"fit": "cover", "resize": 224}, 'must have resize = [height, width] with fit = "cover"'),
        ({"channels": "grey", "mean": [1, 2, 3]}, 'must have one number as mean with channels = "grey"'),
        ({"pad": 256}, "less than or equal to 255"),
        ({"background": [0, 0]}, "Field required"),
        ({"in_graph": 1}, "valid boolean"),
    ],
    ids=str,
)
def test_keys_that_contradict_each_other(how: dict, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Preprocess.model_validate(how)
    assert words in str(caught.value)


def test_one_number_stands_for_all_channels() -> None:
    assert Preprocess.model_validate({"mean": 0.5, "std": [0.25]}) == Preprocess(mean=(0.5,) * 3, std=(0.25,) * 3)
