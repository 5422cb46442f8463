"""The native coders. Errors are :class:`splitc.errors.CodecError` (arguments) and ``BitstreamError`` (payloads)."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_U8: TypeAlias = npt.NDArray[np.uint8]
_U16: TypeAlias = npt.NDArray[np.uint16]
_F32: TypeAlias = npt.NDArray[np.float32]
_Previous: TypeAlias = _U8 | _U16 | None
_Bytes: TypeAlias = bytes | bytearray | memoryview | _U8

def crc32c(data: _Bytes, crc: int = 0) -> int:
    """CRC-32C of ``data``, continued from ``crc``."""

def simd_name() -> str:
    """Instructions in use: "avx512", "avx2", "neon" or "scalar" (no more than the compiler makes of plain loops).

    The environment variable ``SPLITC_SIMD`` asks for one of them. Results are the same with all.

    Raises:
        CodecError: ``SPLITC_SIMD`` names another, or one that the processor lacks.
    """

def quantize_linear(x: _F32, lo: _F32, scale: _F32, top: int) -> _U8 | _U16:
    """``clip(rint((x - lo) * scale), 0, top)`` in binary32, every operation rounded by itself.

    Args:
        x: float32 ``[planes, values]``, C-contiguous: a feature ``[n, C, ...]`` as ``x.reshape(n * C, -1)``.
        lo: float32 ``[S]``; plane p uses entry ``p % S``. ``S`` divides planes: 1 (tensor) or C (channel).
        scale: float32 ``[S]``.
        top: Largest symbol, at most 65535.

    Returns:
        ``[planes, values]``: uint8 for ``top`` up to 255, uint16 above.

    Raises:
        CodecError: NaN in ``x``, or ``S`` does not divide the planes.
    """

def quantize_thresholds(x: _F32, thresholds: _F32) -> _U8 | _U16:
    """How many thresholds are at or below each value: ``searchsorted(thresholds[p % S], x[p], side="right")``.

    Args:
        x: As in :func:`quantize_linear`.
        thresholds: float32 ``[S, K]``, ascending, C-contiguous, ``K`` at most 65535.

    Returns:
        ``[planes, values]``: uint8 for ``K`` up to 255, uint16 above.

    Raises:
        CodecError: NaN in ``x``, or ``S`` does not divide the planes.
    """

def quantize_near(x: _F32, previous: _U8 | _U16, lo: _F32, scale: _F32, top: int, rounding: float) -> _U8 | _U16:
    """``clip(previous + sign(e) * floor(abs(e) + rounding), 0, top)``, ``e = (x - lo) * scale - previous``, binary32.

    Args:
        x: As in :func:`quantize_linear`.
        previous: Symbols of the frame before, of the same shape; the result has their type.
        lo, scale: As in :func:`quantize_linear`.
        top: Largest symbol; must fit the type.
        rounding: In steps, 0..0.5.

    Raises:
        CodecError: NaN in ``x``, shapes that differ, or ``S`` does not divide the planes.
    """

def quantize_adaptive(
    x: _F32, previous: _U8 | _U16, lo: _F32, scale: _F32, top: int, channels: int, width: int
) -> _U8 | _U16:
    """As :func:`quantize_near`, with a dead zone of its own for every value.

    A residual stays where its distance is at most ``0.5 + 0.075 * (log2((1 - p) / p) + 1.5)`` steps, 0.5..3; otherwise
    it is rounded to the nearest. p is the share of changes around it: ``(n + 4 * place + 4 * plane + 0.02) / 16.5``,
    1e-4..0.6, of n changed neighbours (of 8) in its plane, and of the shares that change at its place in all planes and
    in its plane. At first a change is a distance above 0.6; what the zone says then decides twice.

    Args:
        x: float32 ``[planes, values]``, C-contiguous.
        previous: Symbols of the frame before, of the same shape; the result has their type.
        lo, scale: float32 ``[S]``; ``S`` is 1 or ``channels``.
        top: Largest symbol; must fit the type.
        channels: Planes of a sample.
        width: Of a plane's rows.

    Raises:
        CodecError: NaN in ``x``, or shapes that do not fit.
    """

def predict_moved(previous: _U8 | _U16, field: _U8, flat: npt.NDArray[np.int32], width: int) -> _U8 | _U16:
    """What a frame's symbols are predicted to be (FORMAT.md section 11a).

    Args:
        previous: Symbols of the frame before, ``[planes, values]``, C-contiguous.
        field: ``[2 * samples, blocks]``: of each sample a plane of vertical and one of horizontal components.
        flat: int32 ``[C]``: each channel's symbol for zero; its length says how many planes a sample has.
        width: Of a plane's rows.

    Returns:
        Symbols of the shape and type of ``previous``.

    Raises:
        CodecError: Shapes that do not fit, or components that are no vector.
    """

def search_motion(
    x: _F32,
    previous: _U8 | _U16,
    lo: _F32,
    scale: _F32,
    flat: npt.NDArray[np.int32],
    last: _U8,
    width: int,
    may_be_flat: bool,
) -> _U8:
    """A field of vectors with which ``previous`` predicts ``x`` well; the same on every machine.

    Args:
        x: float32 ``[planes, values]``, C-contiguous.
        previous, flat, width: As in :func:`predict_moved`.
        lo, scale: float32 ``[S]``; ``S`` is 1 or the number of channels.
        last: Field of the frame before, where to look first.
        may_be_flat: Whether a block may be predicted from zeros.

    Returns:
        uint8 ``[2 * samples, blocks]``.

    Raises:
        CodecError: NaN in ``x``, or shapes that do not fit.
    """

def fold_symbols(symbols: _U8 | _U16, previous: _U8 | _U16, count: int) -> _U8 | _U16:
    """Residual symbols of temporal "difference" (FORMAT.md section 11); arrays ``[planes, values]`` alike.

    Raises:
        CodecError: Shapes that differ.
    """

def unfold_symbols(residual: _U8 | _U16, previous: _U8 | _U16, count: int) -> _U8 | _U16:
    """Invert :func:`fold_symbols`."""

def lookup_levels(symbols: _U8 | _U16, levels: _F32) -> _F32:
    """``levels[p % S, symbol]``.

    Args:
        symbols: ``[planes, values]``, C-contiguous.
        levels: float32 ``[S, L]``, C-contiguous.

    Returns:
        float32 ``[planes, values]``.

    Raises:
        CodecError: A symbol of ``L`` or more, or ``S`` does not divide the planes.
    """

def restore_affine(symbols: _U8 | _U16, gain: _F32, bias: _F32) -> _F32:
    """``symbol * gain[p % S] + bias[p % S]`` in binary32, both operations rounded by themselves.

    Args:
        symbols: ``[planes, values]``, C-contiguous.
        gain, bias: float32 ``[S]``.

    Returns:
        float32 ``[planes, values]``.

    Raises:
        CodecError: ``S`` does not divide the planes, or ``gain`` and ``bias`` differ in length.
    """

class RansModel:
    """Tables of the rANS coder, expanded. Immutable and thread-safe."""

    def __init__(self, tables: _Bytes) -> None: ...
    @property
    def bits(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def has_previous_view(self) -> bool:
        """The tables know contexts of a previous frame; without them ``previous`` changes nothing."""

    def encode(self, symbols: _U8 | _U16, first_plane: int, previous: _Previous = None) -> bytes:
        """One chunk ``[planes, H, W]``, uint8 up to 8 bits and uint16 above; ``previous`` is alike."""

    def decode_u8(
        self,
        payload: _Bytes,
        planes: int,
        height: int,
        width: int,
        first_plane: int,
        previous: _Previous = None,
    ) -> _U8: ...
    def decode_u16(
        self,
        payload: _Bytes,
        planes: int,
        height: int,
        width: int,
        first_plane: int,
        previous: _Previous = None,
    ) -> _U16: ...

MIX_NODES: int
"""Logits of a row of mix tables."""
MIX_SHARED_ROWS: int
"""Rows of mix tables behind those of the channels."""

class MixModel:
    """Tables of the mixing coder, checked and ready."""

    def __init__(self, tables: _Bytes) -> None: ...
    @property
    def bits(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def has_previous_view(self) -> bool:
        """A channel is expected from its plane in the previous frame."""

    def encode(self, symbols: _U8 | _U16, first_plane: int, previous: _Previous = None) -> bytes:
        """Code a chunk ``[planes, H, W]``; ``previous`` is its frame before."""

    def decode_u8(
        self,
        payload: _Bytes,
        planes: int,
        height: int,
        width: int,
        first_plane: int,
        previous: _Previous = None,
    ) -> _U8: ...
    def decode_u16(
        self,
        payload: _Bytes,
        planes: int,
        height: int,
        width: int,
        first_plane: int,
        previous: _Previous = None,
    ) -> _U16: ...

class MixLearner:
    """Logits that move towards the symbols they are shown."""

    def __init__(self, rows: int) -> None:
        """Of so many rows, all zero."""

    def set_rate(self, rate: float) -> None:
        """How far each decision moves them."""

    def learn(self, model: MixModel, symbols: _U8 | _U16, previous: _Previous = None) -> None:
        """One pass over a sample ``[C, H, W]``, with the channels of ``model``."""

    def result(self) -> npt.NDArray[np.int16]:
        """``[rows, MIX_NODES]`` in 1/256."""

def rans_encode_alone(symbols: _U8 | _U16, bits: int) -> bytes:
    """One chunk with the frequencies of its symbols before it: needs no tables."""

def rans_decode_alone_u8(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...
def rans_decode_alone_u16(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U16: ...
def range_encode(symbols: _U8 | _U16, bits: int) -> bytes: ...
def range_decode_u8(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...
def range_decode_u16(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U16: ...
def pack_bits(symbols: _U8 | _U16, bits: int) -> bytes:
    """``ceil(count * bits / 8)`` bytes, least significant bit first."""

def unpack_bits_u8(packed: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...
def unpack_bits_u16(packed: _Bytes, bits: int, planes: int, height: int, width: int) -> _U16: ...

class HuffmanModel:
    """A Huffman code that calibration fixed. Immutable and thread-safe."""

    def __init__(self, tables: _Bytes) -> None: ...
    @property
    def bits(self) -> int: ...
    def encode(self, symbols: npt.NDArray[np.unsignedinteger]) -> bytes: ...
    def decode(self, payload: _Bytes, planes: int, height: int, width: int) -> _U8: ...

def huffman_lengths(counts: list[int]) -> bytes:
    """Code length of each symbol, a byte each: 0 without a count, else 1..15. At most 256 counts."""

def huffman_encode(symbols: npt.NDArray[np.unsignedinteger], bits: int) -> bytes: ...
def huffman_decode(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...
def nrle_encode(symbols: _U8 | _U16, bits: int) -> bytes: ...
def nrle_decode_u8(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...
def nrle_decode_u16(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U16: ...
def cohen_encode(symbols: npt.NDArray[np.unsignedinteger], bits: int) -> bytes: ...
def cohen_decode(payload: _Bytes, bits: int, planes: int, height: int, width: int) -> _U8: ...

_I32: TypeAlias = npt.NDArray[np.int32]

def scw_count(levels: _I32, outer: _U8, middle: _U8, inner: _U8, first: int, contexts: int) -> npt.NDArray[np.uint32]:
    """How often each token stands in each context, ``[contexts * 256]``, for levels ``first ...`` of a tensor."""

class ScwTables:
    """Tables of the weight container's level coder, expanded. Immutable and thread-safe.

    ``outer``, ``middle`` and ``inner`` are the classes of the axes of the tensor seen as three; every method takes or
    gives a chunk, which begins at level ``first`` of the tensor.
    """

    def __init__(self, frequencies: _U16) -> None:
        """``[contexts, 256]``, each row summing to 4096."""

    @property
    def contexts(self) -> int: ...
    def encode(self, levels: _I32, outer: _U8, middle: _U8, inner: _U8, first: int) -> bytes: ...
    def decode_levels(self, payload: _Bytes, outer: _U8, middle: _U8, inner: _U8, first: int, count: int) -> _I32: ...
    def decode_values(
        self, payload: _Bytes, outer: _U8, middle: _U8, inner: _U8, first: int, steps: _F32, values: _F32
    ) -> None:
        """Write levels times ``steps[row]`` into ``values``, whose size is the chunk's."""
