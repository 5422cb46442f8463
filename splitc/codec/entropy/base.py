"""What an entropy coder is: symbols of one chunk <-> payload bytes, integers only.

A coder (:class:`EntropyCoder`) is its options. What it learns from calibration symbols is a separate value: ``tables``,
canonical bytes that travel in the bundle's contract and never on the wire. ``open`` prepares both for use.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

from splitc.codec.planes import as_planes
from splitc.errors import CodecError
from splitc.registry import Component
from splitc.types import Shape, Symbols


class ChunkCoder(Protocol):
    """A prepared coder for one tensor; thread-safe, keeps no state between calls."""

    @property
    def wire_id(self) -> int:
        """Of the :class:`EntropyCoder` that prepared it."""
        ...

    @property
    def tables_hash(self) -> bytes:
        """:func:`hash_of_tables` of its tables."""
        ...

    def encode(self, symbols: Symbols, first_plane: int = 0) -> bytes:
        """Code one chunk.

        Args:
            symbols: ``[planes, H, W]``, C-contiguous, uint8 up to 8 bits and uint16 above; values below ``2**bits``.
            first_plane: Index of ``symbols[0]`` in the whole tensor; its channel is ``plane % channels``.

        Raises:
            CodecError: A symbol is out of range, or the array does not fit the coder.
        """
        ...

    def decode(self, payload: bytes | memoryview, shape: tuple[int, int, int], first_plane: int = 0) -> Symbols:
        """Invert :meth:`encode`; consumes the payload exactly.

        Raises:
            BitstreamError: The payload is not one that ``encode`` can have written.
        """
        ...


TABLES_HASH_BYTES = 8


def hash_of_tables(tables: bytes) -> bytes:
    """How a stream names the tables it needs: the start of their SHA-256, or zeros where there are none."""
    return hashlib.sha256(tables).digest()[:TABLES_HASH_BYTES] if tables else bytes(TABLES_HASH_BYTES)


class EntropyCoder(Component):
    """Options of an entropy coder."""

    wire_id: ClassVar[int]
    """FORMAT.md, section "Entropy coders"; never reused."""
    max_bits: ClassVar[int]
    """Most bits per symbol."""
    is_trained: ClassVar[bool] = False
    """Learns tables from calibration symbols."""
    needs_tables: ClassVar[bool] = False
    """Cannot code without them."""
    is_lossless: ClassVar[bool] = True
    """Decoding gives the symbols that were encoded; else symbols near them."""
    is_whole: ClassVar[bool] = False
    """A tensor is one chunk, however large (FORMAT.md section 4)."""
    speed_mels: ClassVar[tuple[float, float]] = (2.5, 26.0)
    """10**6 elements a second, encode and decode, which plans count with; by default the slowest that were measured:
    once, on one core of an AMD EPYC (Zen 5) with AVX-512, on one smooth 4-bit feature. Not scaled to any device, so a
    weak edge codes slower than this says."""

    @classmethod
    def probe(cls) -> list[str]:
        """Pixel formats in which this machine really codes a small frame; none for coders that make no pictures."""
        return []

    def refusal(self, wire: Shape) -> str | None:
        """Why the coder cannot take tensors of this wire ``[n, C, ...]``, behind the tensor's name; None: it can."""
        return None

    @property
    def tools(self) -> dict[str, str]:
        """Versions of the encoders that decide its bytes, by name; none where FORMAT.md decides them."""
        return {}

    def fit(self, samples: Sequence[Symbols], bits: int) -> bytes:
        """Learn tables from calibration symbols.

        Args:
            samples: One ``[C, H, W]`` array per calibration sample; C is the number of channels.
            bits: Bits per symbol.

        Returns:
            Canonical tables (FORMAT.md, "Tables"); empty for a coder that needs none.

        Raises:
            CodecError: ``bits`` above ``max_bits``, or samples that cannot be learnt from.
        """
        check_bits(self, bits)
        return b""

    def fit_tensor(self, samples: Sequence[Symbols], bits: int) -> bytes:
        """As :meth:`fit`, from arrays of the wire's own axes, ``[n, C, ...]``, whose inner sizes may differ."""
        return self.fit([as_planes(rows[i : i + 1]) for rows in samples for i in range(len(rows))], bits)

    def fit_predicted(self, samples: Sequence[Symbols], previous: Sequence[Symbols], bits: int) -> bytes:
        """As :meth:`fit`, on residual symbols of predicted frames and on those of the frame before each."""
        return self.fit(samples, bits)

    def following(self, prepared: ChunkCoder, previous: Symbols) -> ChunkCoder:
        """``prepared`` for the one frame that follows another; the same where that is no context.

        Args:
            prepared: Of :meth:`open`, with tables of :meth:`fit_predicted`.
            previous: Residual symbols of the frame before, ``[planes, H, W]``; zeros, if that is a keyframe.
        """
        return prepared

    @abstractmethod
    def open(self, bits: int, channels: int, tables: bytes) -> ChunkCoder:
        """Prepare for coding.

        Raises:
            CodecError: ``bits`` above ``max_bits``, or ``tables`` are not this coder's (they may come from a stranger).
        """


def check_samples(coder: EntropyCoder, samples: Sequence[Symbols], bits: int) -> None:
    """Refuse calibration symbols that cannot be learnt from.

    Raises:
        CodecError: ``bits`` out of range, no samples, unequal channels, or a symbol that does not fit.
    """
    check_bits(coder, bits)
    if not samples:
        raise CodecError(f"{coder.name}: needs calibration samples, got none.")
    for index, sample in enumerate(samples):
        if sample.ndim != 3 or sample.size == 0:
            raise CodecError(f"{coder.name}: sample {index} has shape {list(sample.shape)}, must be [C, H, W].")
        if sample.shape[0] != samples[0].shape[0]:
            raise CodecError(
                f"{coder.name}: sample {index} has {sample.shape[0]} channels, sample 0 has {samples[0].shape[0]}."
            )
        if int(sample.max()) >> bits:
            raise CodecError(
                f"{coder.name}: sample {index} holds symbol {int(sample.max())}, does not fit {bits} bits."
            )


def check_bits(coder: EntropyCoder, bits: int) -> None:
    """Refuse a symbol width that ``coder`` cannot code.

    Raises:
        CodecError: ``bits`` outside 1..max_bits.
    """
    if not 1 <= bits <= coder.max_bits:
        raise CodecError(f"{coder.name}: {bits} bits per symbol, must be 1..{coder.max_bits}.")


def check_no_tables(coder: EntropyCoder, tables: bytes) -> None:
    """Refuse tables given to a coder that has none.

    Raises:
        CodecError: ``tables`` is not empty.
    """
    if tables:
        raise CodecError(f"{coder.name}: takes no tables, got {len(tables)} bytes.")
