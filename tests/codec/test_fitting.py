"""Features that do not fit the cut: refused by name, in ``fit`` and in ``encode``."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from splitc.codec import Codec, CodecSpec
from splitc.errors import CodecError
from splitc.types import TensorSpec

CUT = TensorSpec(name="x", dtype="float32", shape=("N", 3, 4, 5))
GOOD = np.random.default_rng(0).standard_normal((6, 3, 4, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        pytest.param([GOOD.astype(np.float64)], "features of 'x' are float64, must be a float32 array", id="double"),
        pytest.param([GOOD.astype(np.int64)], "features of 'x' are int64, must be a float32 array", id="integers"),
        pytest.param([GOOD.tolist()], "features of 'x' are list, must be a float32 array", id="list"),
        pytest.param(GOOD, "the features are one array; give a list of 1", id="no-list"),
        pytest.param([], "the features are 0 arrays; give a list of 1", id="none"),
        pytest.param([GOOD, GOOD], "the features are 2 arrays; give a list of 1", id="too-many"),
        pytest.param([GOOD[:, :1]], r"shape \[6, 1, 4, 5\], must be \['n', 3, 4, 5\]", id="channels"),
        pytest.param([GOOD[:, :, 0]], r"shape \[6, 3, 5\], must be", id="rank"),
        pytest.param([GOOD[:, :, :2]], r"shape \[6, 3, 2, 5\], must be", id="height"),
    ],
)
def test_features_must_be_those_of_the_cut(features: Any, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        Codec.fit(CodecSpec(), [CUT], features)
    codec = Codec.fit(CodecSpec(), [CUT], [GOOD])
    with pytest.raises(CodecError, match=message):
        codec.encode(features)


def test_a_codec_is_of_a_tensor() -> None:
    with pytest.raises(CodecError, match="give a list of at least 1"):
        Codec.fit(CodecSpec(), [], [])


@pytest.mark.parametrize("lengths", [[7, -1], [6, 0], [5], []])
def test_clips_have_frames(lengths: list[int]) -> None:
    with pytest.raises(CodecError, match="sequence_lengths"):
        Codec.fit(CodecSpec(temporal="dpcm"), [CUT], [GOOD], lengths)


@pytest.mark.parametrize(
    "options",
    [{}, {"temporal": "dpcm"}, {"quantizer": "uniform", "bits": 4}, {"quantizer": "log", "bits": 4}],
    ids=lambda options: "-".join(map(str, options.values())) or "step",
)
def test_fitting_takes_little_beside_the_features(options: dict[str, Any]) -> None:
    """A copy of the features in rows, symbols of a byte, and blocks of 2**20 values.

    Parameters computed on all values at once took five times the features, and contexts of all samples eight bytes a
    value.
    """
    source = np.random.default_rng(0)
    features = np.cumsum(source.standard_normal((160, 32, 32, 32), np.float32), axis=3)  # 21 MB, and neighbours alike
    tensor = TensorSpec(name="x", dtype="float32", shape=("N", 32, 32, 32))
    tracemalloc.start()
    try:
        Codec.fit(CodecSpec(**options), [tensor], [features])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the copy and symbols of two kinds; a block of float64 values, twice, and what training holds
    assert peak < 1.75 * features.nbytes + 24_000_000
