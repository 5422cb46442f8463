"""Small integers of one stream as bytes: in a fixed width, by Huffman, or by rANS (FORMAT.md, "Streams").

The coders are those of the feature codec, given one chunk of one plane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from splitc.errors import BitstreamError, CodecError
from splitc.native import _core
from splitc.types import Array, Symbols

CoderName = Literal["fixed", "huffman", "rans"]


class StreamCoder(NamedTuple):
    """A way to code ``bits``-wide integers."""

    wire_id: int
    max_bits: int
    encode: Callable[[Symbols, int], bytes]
    decode: Callable[[bytes, int, int], Symbols]


def _row(symbols: Symbols) -> Symbols:
    return symbols.reshape(1, 1, -1)


def _fixed_decode(payload: bytes, bits: int, count: int) -> Symbols:
    unpack = _core.unpack_bits_u8 if bits <= 8 else _core.unpack_bits_u16
    return unpack(payload, bits, 1, 1, count)


def _rans_decode(payload: bytes, bits: int, count: int) -> Symbols:
    decode = _core.rans_decode_alone_u8 if bits <= 8 else _core.rans_decode_alone_u16
    return decode(payload, bits, 1, 1, count)


CODERS: dict[str, StreamCoder] = {
    "fixed": StreamCoder(0, 16, lambda x, bits: _core.pack_bits(_row(x), bits), _fixed_decode),
    "huffman": StreamCoder(
        1, 8, lambda x, bits: _core.huffman_encode(_row(x), bits), lambda p, b, n: _core.huffman_decode(p, b, 1, 1, n)
    ),
    "rans": StreamCoder(2, 16, lambda x, bits: _core.rans_encode_alone(_row(x), bits), _rans_decode),
}
NAMES = {coder.wire_id: name for name, coder in CODERS.items()}


def coder_for(name: CoderName, bits: int) -> CoderName:
    """``name``, or "rans" where it cannot take symbols of so many bits."""
    return name if bits <= CODERS[name].max_bits else "rans"


def encode_stream(name: CoderName, symbols: Array, bits: int) -> bytes:
    """Code ``symbols [n]``, each below ``2**bits``; nothing for no symbols.

    Raises:
        CodecError: A symbol that does not fit.
    """
    if not 1 <= bits <= CODERS[name].max_bits:
        raise CodecError(f"weights: stream coder {name!r} takes 1..{CODERS[name].max_bits} bits, not {bits}.")
    width = np.uint8 if bits <= 8 else np.uint16
    return CODERS[name].encode(symbols.astype(width, copy=False), bits) if symbols.size else b""


def decode_stream(name: str, payload: bytes, bits: int, count: int) -> Symbols:
    """Inverse of :func:`encode_stream`, ``[count]``.

    Raises:
        BitstreamError: Bytes that no encoder writes.
    """
    if count == 0:
        if payload:
            raise BitstreamError("a stream of no symbols has bytes.")
        return np.empty(0, np.uint8)
    try:
        return CODERS[name].decode(payload, bits, count).reshape(-1)
    except CodecError as error:  # a width that the coder does not take is damage here
        raise BitstreamError(str(error)) from error
