"""Small fixed streams that several test files share."""

from __future__ import annotations

import numpy as np

from splitc.codec.bitstream import StreamLayout, TensorLayout
from splitc.codec.entropy import ENTROPY_CODERS, PICTURE_CODERS
from splitc.types import Symbols

LOSSLESS = [name for name in ENTROPY_CODERS if name not in PICTURE_CODERS]
"""Coders that give back what they took, and need no extra."""
PAIR = bytes.fromhex("c0ffee42")


def smooth(shape: tuple[int, ...], bits: int, seed: int) -> Symbols:
    """Integer-only pseudo-random symbols with neighbours alike, the same on every machine and numpy."""
    count = int(np.prod(shape))
    state = seed * 2654435761 % 2**32
    values: list[int] = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((values[-1] * 3 if values else 0) // 4 + (state >> 24) % (2 ** max(1, bits - 2) + 1))
    return np.minimum(values, 2**bits - 1).reshape(shape).astype(np.uint8 if bits <= 8 else np.uint16)


def two_tensor_stream(name: str, tables: bytes | None = None) -> tuple[StreamLayout, list[Symbols], bytes]:
    """A layout of a 4-D tensor with dynamic batch and a 2-D one, symbols for it, and the first tensor's tables."""
    coder = ENTROPY_CODERS.make(name, {})
    samples = [smooth((6, 5, 7), 4, seed) for seed in (1, 2, 3)]
    if tables is None:
        tables = coder.fit(samples, 4)
    first = TensorLayout((None, 6, 5, 7), 4, coder.open(4, 6, tables), quantizer=b"uniform")
    second = TensorLayout((3, 6), 4, coder.open(4, 6, tables))
    return StreamLayout((first, second), PAIR), [np.stack(samples[1:]), smooth((3, 6), 4, 9)], tables
