"""What the machine allows: copying float32, and the quantize pass beside NumPy's, in cache and from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from codec_bench.clock import median_seconds
from splitc.native import _core
from splitc.types import F32

IN_CACHE = 1 << 16
IN_MEMORY = 1 << 24
TOP = 15
LOOP_ELEMENTS = 1 << 25
"""Elements a repeat handles, so that a call's own cost and the clock's step vanish."""


@dataclass(frozen=True)
class FloorRow:
    """One pass over float32 values."""

    operation: str
    version: str
    elements: int
    mels: float
    section: str = "floor"


def floor_rows() -> Iterator[FloorRow]:
    """Copy and quantize, in cache and from memory."""
    numpy_version = f"numpy {np.__version__}"
    for elements in (IN_CACHE, IN_MEMORY):
        x = np.random.default_rng(0).standard_normal(elements, dtype=np.float32)
        yield FloorRow("float32 copy", numpy_version, elements, _mels(elements, _copy_pass(x)))
        yield FloorRow("quantize", "splitc native", elements, _mels(elements, partial(_native, x)))
        yield FloorRow("quantize", numpy_version, elements, _mels(elements, _numpy_pass(x)))


def _copy_pass(x: F32) -> Callable[[], object]:
    return partial(np.copyto, np.empty_like(x), x)


def _native(x: F32) -> object:
    return _core.quantize_linear(x.reshape(1, -1), LO, SCALE, TOP)


LO, SCALE = np.array([-2.0], np.float32), np.array([4.0], np.float32)


def _numpy_pass(x: F32) -> Callable[[], object]:
    """The same work: NaN refused, the same symbols; in place where NumPy can."""
    scaled = np.empty_like(x)

    def quantize() -> object:
        assert not np.isnan(x.min())
        np.subtract(x, LO[0], out=scaled)
        np.multiply(scaled, SCALE[0], out=scaled)
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, TOP, out=scaled)
        return scaled.astype(np.uint8)

    assert np.array_equal(np.ravel(_native(x)), quantize())
    return quantize


def _mels(elements: int, work: Callable[[], object]) -> float:
    rounds = max(1, LOOP_ELEMENTS // elements)

    def loop() -> None:
        for _ in range(rounds):
            work()

    return rounds * elements / median_seconds(loop) / 1e6
