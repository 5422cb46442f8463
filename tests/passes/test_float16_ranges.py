"""Ranges of tensors over calibration samples."""

from __future__ import annotations

import numpy as np
import pytest

from splitc.passes.float16.ranges import TensorRange, range_of


@pytest.mark.filterwarnings("error")
def test_what_counts() -> None:
    found = range_of(np.array([[-3, 0, np.inf], [1e-9, np.nan, 4]], np.float32))
    assert (found.largest, found.elements) == (4, 4)
    assert found.smallest == pytest.approx(1e-9)
    assert (found.total, found.energy) == (pytest.approx(7), pytest.approx(25))


def test_an_offset_is_the_mean_in_standard_deviations() -> None:
    values = np.random.default_rng(0).standard_normal(100_000) * 2 + 600
    assert range_of(values.astype(np.float32)).offset == pytest.approx(300, rel=0.02)  # of 16,384 values
    assert range_of(np.full(9, 7.0, np.float32)).offset == 0


def test_samples_join() -> None:
    one, other = range_of(np.array([1.0, 2.0])), range_of(np.array([0.0, -5.0, 0.5]))
    assert (one | other) == TensorRange(5, 0.5, 5.5, 25.25, 3, max(one.offset, other.offset))
    assert range_of(np.zeros(0, np.float32)) == TensorRange()
    assert range_of(np.array([0, -5, 3])).largest == 5
