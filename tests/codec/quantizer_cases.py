"""What the tests of quantizers share: features, and every form of every quantizer."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from splitc.codec import QUANTIZERS, Quantizer, QuantParams
from splitc.errors import UsageError
from splitc.types import F32, Symbols, TensorSpec

TENSOR = TensorSpec(name="feature", dtype="float32", shape=("N", 5, 4, 3))


def f32(*values: float) -> F32:
    return np.array([values], np.float32)


def features(seed: int, shape: tuple[int, ...] = (6, 5, 4, 3)) -> F32:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def options(name: str) -> list[dict[str, object]]:
    """Every form of a quantizer: its scopes, few and many bits, each way to decode and to clip."""
    fields = QUANTIZERS.load(name).model_fields
    tried = {
        "bits": (1, 2, 4, 8, 12, 16),
        "scope": ("tensor", "channel", "sample"),
        "reconstruction": ("centroid", "midpoint", "unbiased"),
        "clip": ("mse", "percentile", "kl", "minmax"),
        "step": (0.1, 1.0),
        "maximum": (None, 3.0),
    }
    known = {key: values for key, values in tried.items() if key in fields}
    every = [dict(zip(known, values, strict=True)) for values in product(*known.values())]
    return [one for one in every if is_allowed(name, one)]


def is_allowed(name: str, asked: dict[str, object]) -> bool:
    try:
        QUANTIZERS.make(name, asked)
    except UsageError:
        return False
    return True


EVERY = [pytest.param(name, asked, id=f"{name}-{asked}") for name in QUANTIZERS for asked in options(name)]


def round_trip(quantizer: Quantizer, params: QuantParams, x: F32) -> tuple[Symbols, F32]:
    side = quantizer.side(x)
    symbols = quantizer.quantize(x, params, side)
    return symbols, quantizer.dequantize(symbols, params, side)


def squared_error(quantizer: Quantizer, x: F32) -> float:
    return float(np.square(round_trip(quantizer, quantizer.fit(x), x)[1] - x).mean())
