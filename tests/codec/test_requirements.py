"""What a codec cannot take, said before anything runs; and channel axes that the numbers choose."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.codec import CodecSpec, choose_channel_axis, refusal
from splitc.types import USUAL_LAYOUT, Dim, Layout, TensorSpec

CHANNEL_LAST = Layout(channel_axis=2)
HEVC = CodecSpec(quantizer="uniform", entropy="hevc")


def why(
    shape: tuple[Dim, ...], layout: Layout = USUAL_LAYOUT, spec: CodecSpec | None = None, dtype: str = "float32"
) -> str:
    return refusal(spec or CodecSpec(), TensorSpec(name="x", dtype=dtype, shape=shape), layout) or ""


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (("N", 3, 4, 4), USUAL_LAYOUT),
        (("N", "T", 6), CHANNEL_LAST),
        (("T", "N", 6), Layout(batch_axis=1, channel_axis=2)),
        (("N", "T"), Layout(channel_axis=None)),
        (("N",), USUAL_LAYOUT),
        (("N", *[2] * 7), USUAL_LAYOUT),
    ],
)
def test_what_a_codec_takes(shape: tuple[Dim, ...], layout: Layout) -> None:
    for dtype in ("float32", "float16", "bfloat16", "float64"):
        assert not why(shape, layout, dtype=dtype)


def test_what_no_codec_takes() -> None:
    assert why(("N", 3), dtype="int64") == "is int64; a codec takes float tensors"
    assert why(("N", "T", 6)) == "cannot be coded: axis 1 has no fixed size"
    assert why(("N", *[2] * 8)) == "has 9 axes on the wire; a codec takes 1 to 8"
    assert why(("N", 0, 4)) == "is empty; a codec takes tensors with elements"
    assert why(("N", 4096, 4096, 8)) == "has 134,217,728 elements; a codec takes at most 67,108,864"
    assert why(("N", *[2] * 7), Layout(batch_axis=None, channel_axis=1)).startswith("has 9 axes")


def test_what_one_coder_does_not_take() -> None:
    assert why(("N", 70_000)) == "has 70,000 channels; entropy coder 'rans' has tables for at most 65,535"
    assert not why(("N", 70_000), spec=CodecSpec(entropy="range"))
    assert not why(("N", 16, 8, 8), spec=HEVC)
    assert why(("N", "T", 6), CHANNEL_LAST, HEVC) == (
        "changes its size (T); entropy coder 'hevc' takes one size: fix it in model.shapes"
    )
    assert "makes pictures of" in why(("N", 4, 9000, 8), spec=HEVC)
    assert "cannot be tiled for entropy coder 'hevc': clip" in why(
        ("N", 16, 8, 8), spec=CodecSpec(quantizer="uniform", entropy="hevc", tiling="clip")
    )


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("differing", ["scale", "mean"])
def test_the_numbers_choose_the_axis_whose_indices_differ(axis: int, differing: str) -> None:
    shape = [1, 5, 6, 7]
    steps = np.arange(1, shape[axis] + 1, dtype=np.float32).reshape([-1 if one == axis else 1 for one in range(4)])
    noise = [np.random.default_rng(seed).standard_normal(shape).astype(np.float32) for seed in range(6)]
    samples = [x * steps**2 if differing == "scale" else x + 3 * steps for x in noise]
    assert choose_channel_axis(samples, USUAL_LAYOUT, [1, 2, 3]).channel_axis == axis
    assert choose_channel_axis(samples, Layout(batch_axis=None), [1, 2, 3]).batch_axis is None


def test_sizes_may_differ_and_nothing_to_choose_from_changes_nothing() -> None:
    samples = [np.ones((1, tokens, 4), np.float32) * [1, 10, 100, 1000] for tokens in (3, 5)]
    assert choose_channel_axis(samples, USUAL_LAYOUT, [2]).channel_axis == 2  # type: ignore[arg-type]
    assert choose_channel_axis(samples, USUAL_LAYOUT, []) == USUAL_LAYOUT  # type: ignore[arg-type]
    assert choose_channel_axis([], CHANNEL_LAST, [1, 2]) == CHANNEL_LAST
    same = [np.ones((1, 3, 4), np.float32)]
    assert choose_channel_axis(same, CHANNEL_LAST, [1, 2]).channel_axis == 1  # of equals the first
