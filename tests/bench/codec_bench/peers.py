"""Lossless coders of k-bit symbols, ours and the peers': zstandard and constriction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

import constriction  # type: ignore[import-untyped]
import numpy as np
import zstandard

from splitc.codec.entropy import EntropyCoder
from splitc.types import Symbols


class Coder(NamedTuple):
    """A lossless coder of one picture's symbols ``[C, H, W]``, laid out by ``prepare``, which is not timed."""

    name: str
    version: str
    encode: Callable[[Symbols], bytes]
    decode: Callable[[bytes], Symbols]
    prepare: Callable[[Symbols], Symbols] = np.ascontiguousarray


def ours(coder: EntropyCoder, calibration: Symbols, bits: int, shape: tuple[int, int, int], label: str) -> Coder:
    """A coder of this package, trained on ``calibration`` ``[n, C, H, W]`` if it can be."""
    opened = coder.open(bits, shape[0], coder.fit(list(calibration), bits))
    return Coder(label, "splitc", opened.encode, lambda payload: opened.decode(payload, shape))


def zstd(level: int, bits: int, shape: tuple[int, int, int]) -> Coder:
    """zstandard on symbols packed to a divisor of 8 bits that holds what occurs, or as bytes where that is smaller."""
    decompressor = zstandard.ZstdDecompressor()

    def encode(symbols: Symbols) -> bytes:
        return min(packed_by_what_occurs(symbols, level), key=len)

    def decode(payload: bytes) -> Symbols:
        width, least = payload[0], payload[1]
        size = -(-int(np.prod(shape)) * width // 8)
        data = decompressor.decompress(payload[HEADER:], max_output_size=size)
        return (unpacked(np.frombuffer(data, np.uint8), width, int(np.prod(shape))) + least).reshape(shape)

    return Coder(f"zstd-{level}", f"zstandard {zstandard.__version__}, packed by what occurs", encode, decode)


HEADER = 2
"""Bytes that say how symbols are packed: their width, and the least of them."""


def packed_by_what_occurs(symbols: Symbols, level: int) -> list[bytes]:
    """Symbols in zstd, counted from the least one: packed to the width that the greatest needs, and as bytes."""
    least = symbols.min(initial=0) if not symbols.size else symbols.min()
    moved = symbols - least
    reach = int(moved.max(initial=0)).bit_length()
    compressor = zstandard.ZstdCompressor(level=level, write_content_size=False, write_checksum=False)
    widths = {next(width for width in (1, 2, 4, 8) if width >= reach), 8}
    return [bytes([width, int(least)]) + compressor.compress(_packed(moved, width)) for width in sorted(widths)]


def unpacked(data: Symbols, width: int, count: int) -> Symbols:
    """Invert the packing."""
    shifts = np.arange(0, 8, width, dtype=np.uint8)
    mask = np.uint8((1 << width) - 1)
    return (data[:, None] >> shifts & mask).ravel()[:count]


def constriction_ans(calibration: Symbols, bits: int, shape: tuple[int, int, int]) -> Coder:
    """Constriction's ANS coder with one table for all symbols, trained on ``calibration``."""
    counts = np.bincount(calibration.ravel(), minlength=1 << bits) + 0.5
    model = constriction.stream.model.Categorical((counts / counts.sum()).astype(np.float32), perfect=False)

    def encode(symbols: Symbols) -> bytes:
        stack = constriction.stream.stack.AnsCoder()
        stack.encode_reverse(symbols.ravel().astype(np.int32), model)
        return bytes(stack.get_compressed().tobytes())

    def decode(payload: bytes) -> Symbols:
        stack = constriction.stream.stack.AnsCoder(np.frombuffer(payload, np.uint32))
        return np.asarray(stack.decode(model, int(np.prod(shape)))).astype(np.uint8).reshape(shape)

    return Coder("constriction ANS order-0", f"constriction {version('constriction')}", encode, decode)


def rate_bpe(payloads: Sequence[bytes], elements: int) -> float:
    """Bits per element."""
    return 8 * sum(map(len, payloads)) / elements


def _packed(symbols: Symbols, width: int) -> Symbols:
    """Bytes of ``8 // width`` symbols each, the first in the lowest bits."""
    each = 8 // width
    flat = symbols.ravel()
    rows = np.pad(flat, (0, -len(flat) % each)).reshape(-1, each)
    shifts = np.arange(0, 8, width, dtype=np.uint8)
    return np.bitwise_or.reduce(rows << shifts, axis=1).astype(np.uint8)
