"""The quantize kernels give NumPy's symbols, bit for bit, with every instruction set at hand."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitc.errors import CodecError
from splitc.native import _core
from splitc.types import F32, Symbols

EDGES = np.array([0, -0.0, 1, -1, 0.5, 1.5, 2.5, 1e30, -1e30, np.inf, -np.inf, 1e-45, 3.4e38], np.float32)


def linear(x: F32, lo: F32, scale: F32, top: int) -> Symbols:
    """The definition, in NumPy."""
    rows = np.arange(len(x)) % len(lo)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint((x - lo[rows, None]) * scale[rows, None])
    return np.nan_to_num(np.clip(scaled, 0, top)).astype(np.uint8 if top <= 255 else np.uint16)


def values(planes: int, size: int, seed: int) -> F32:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((planes, size)) * 3).astype(np.float32)
    halves = np.rint(x * 2) / 2  # ties
    x = np.where(rng.random(x.shape) < 0.3, halves, x).astype(np.float32)
    x.flat[:: max(1, x.size // 13)] = np.resize(EDGES, len(x.flat[:: max(1, x.size // 13)]))
    return x


@given(st.integers(1, 4), st.integers(0, 200), st.sampled_from([1, 3, 15, 255, 256, 4095, 65535]), st.integers(0, 99))
def test_linear_is_numpys(channels: int, size: int, top: int, seed: int) -> None:
    x = values(2 * channels, size, seed)
    rng = np.random.default_rng(seed)
    lo = (rng.standard_normal(channels) * 2).astype(np.float32)
    scale = (top / rng.uniform(0.1, 9, channels)).astype(np.float32)
    got = _core.quantize_linear(x, lo, scale, top)
    wanted = linear(x, lo, scale, top)
    assert got.dtype == wanted.dtype
    assert np.array_equal(got, wanted)


@given(
    st.integers(1, 4),
    st.integers(0, 200),
    st.sampled_from([0, 1, 3, 15, 31, 32, 40, 255, 256, 1023]),
    st.integers(0, 99),
)
def test_thresholds_are_numpys_searchsorted(channels: int, size: int, count: int, seed: int) -> None:
    x = values(2 * channels, size, seed)
    picks = np.random.default_rng(seed).choice(np.append(x.ravel(), np.float32(1)), (channels, count))
    thresholds = np.sort(picks, axis=1)
    got = _core.quantize_thresholds(x, thresholds)
    for row, (symbols, plane) in enumerate(zip(got, x, strict=True)):
        assert np.array_equal(symbols, np.searchsorted(thresholds[row % channels], plane, side="right"))


@pytest.mark.parametrize("count", [1, 2, 16, 17, 256, 5000])
@pytest.mark.parametrize("channels", [1, 3])
def test_levels_are_looked_up(count: int, channels: int) -> None:
    rng = np.random.default_rng(count)
    levels = rng.standard_normal((channels, count)).astype(np.float32)
    dtype = np.uint8 if count <= 256 else np.uint16
    for size in (0, 1, 15, 16, 65, 300):
        symbols = rng.integers(0, count, (6, size)).astype(dtype)
        wanted = levels[(np.arange(6) % channels)[:, None], symbols]
        assert np.array_equal(_core.lookup_levels(symbols, levels), wanted)


def test_what_has_no_symbol_is_refused() -> None:
    one = np.ones(1, np.float32)
    for size in (1, 7, 64, 100):
        x = np.zeros((2, size), np.float32)
        x[1, -1] = np.nan
        with pytest.raises(CodecError, match="feature holds NaN, which has no symbol"):
            _core.quantize_linear(x, one, one, 15)
        for count in (3, 100):
            with pytest.raises(CodecError, match="feature holds NaN"):
                _core.quantize_thresholds(x, np.zeros((1, count), np.float32))
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(CodecError, match="4 planes are not a multiple of 3 channels"):
        _core.quantize_linear(x, np.zeros(3, np.float32), np.ones(3, np.float32), 15)
    with pytest.raises(CodecError, match="lo and scale differ"):
        _core.quantize_linear(x, one, np.ones(2, np.float32), 15)
    with pytest.raises(CodecError, match="symbol 16 has no level: there are 16"):
        _core.lookup_levels(np.full((1, 40), 16, np.uint8), np.zeros((1, 16), np.float32))


def near(x: F32, previous: Symbols, lo: F32, scale: F32, top: int, rounding: float) -> Symbols:
    """The definition, in NumPy."""
    rows = (np.arange(len(x)) % len(lo))[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        error = (x - lo[rows]) * scale[rows] - previous
        moved = np.copysign(np.floor(np.abs(error) + np.float32(rounding)), error)
    return np.clip(previous + moved, 0, top).astype(previous.dtype)


@given(st.integers(1, 4), st.integers(0, 200), st.sampled_from([1, 3, 15, 255, 256, 65535]), st.integers(0, 99))
def test_symbols_near_the_previous_ones_are_numpys(channels: int, size: int, top: int, seed: int) -> None:
    x = values(2 * channels, size, seed)
    rng = np.random.default_rng(seed)
    lo = (rng.standard_normal(channels) * 2).astype(np.float32)
    scale = (top / rng.uniform(0.1, 9, channels)).astype(np.float32)
    previous = rng.integers(0, top + 1, x.shape).astype(np.uint8 if top <= 255 else np.uint16)
    for rounding in (0.1, 0.4, 0.5):
        got = _core.quantize_near(x, previous, lo, scale, top, rounding)
        assert got.dtype == previous.dtype
        assert np.array_equal(got, near(x, previous, lo, scale, top, rounding))


def test_previous_symbols_that_do_not_fit_are_refused() -> None:
    x, one = np.zeros((2, 5), np.float32), np.ones(1, np.float32)
    before = np.zeros((2, 5), np.uint8)
    with pytest.raises(CodecError, match="previous frame's symbols have another shape"):
        _core.quantize_near(x, before[:1], one, one, 15, 0.4)
    with pytest.raises(CodecError, match="previous frame's symbols have another shape"):
        _core.fold_symbols(before, before[:, :4].copy(), 16)
    with pytest.raises(CodecError, match=r"257 symbols, must be 1\.\.256"):
        _core.quantize_near(x, before, one, one, 256, 0.4)
    with pytest.raises(CodecError, match=r"0 symbols, must be 1\.\.256"):
        _core.unfold_symbols(before, before, 0)
    x[1, 4] = np.nan
    with pytest.raises(CodecError, match="feature holds NaN"):
        _core.quantize_near(x, before, one, one, 15, 0.4)


DIGEST = """
import sys
sys.path.insert(0, {folder!r})
from test_quantize_kernels import digest
print(digest())
"""


def digest() -> str:
    """SHA-256 of the symbols of many values."""
    found = hashlib.sha256()
    for size in (1, 49, 196, 3001):
        x = values(6, size, size)
        lo, scale = np.float32([-1, 0, 2]), np.float32([1.3, 7, 0.1])
        for top in (1, 15, 255, 4095):
            symbols = _core.quantize_linear(x, lo, scale, top)
            found.update(symbols.tobytes())
            before = symbols[::-1].copy()
            found.update(_core.quantize_near(x, before, lo, scale, top, 0.4).tobytes())
            residual = _core.fold_symbols(symbols, before, top + 1)
            assert np.array_equal(_core.unfold_symbols(residual, before, top + 1), symbols)
            found.update(residual.tobytes())
            found.update(_core.lookup_levels(symbols, np.linspace(-1, 1, top + 1, dtype=np.float32)[None]).tobytes())
        for count in (3, 15, 255):
            found.update(_core.quantize_thresholds(x, np.linspace(-3, 3, count, dtype=np.float32)[None]).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("level", ["scalar", "avx2", "avx512"])
def test_every_instruction_set_gives_the_same_symbols(level: str) -> None:
    order = ["scalar", "avx2", "avx512"]
    if _core.simd_name() not in order[order.index(level) :]:
        pytest.skip(f"{_core.simd_name()} is the most that this processor has")
    program = DIGEST.format(folder=os.path.dirname(__file__))
    environment = {**os.environ, "SPLITC_SIMD": level}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()
