"""Pictures as JPEG files: whatever they show."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from splitc.trials.inputs import JPEG_QUALITIES, jpeg_from_pixels


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
