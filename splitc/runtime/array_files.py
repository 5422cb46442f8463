"""Arrays of ``.npy`` and ``.npz`` files as samples along axis 0, read row by row: a long clip is never in memory.

What the format lets one read in order is streamed, compressed archives included. Arrays in Fortran order are the
exception: their rows are spread over the whole file, so they are loaded.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from tokenize import TokenError
from typing import IO

import numpy as np

from splitc.errors import UsageError
from splitc.files import open_plain, require_memory
from splitc.types import Array, TensorSpec

ARRAYS = {".npy", ".npz"}
_ARRAY_HINT = (
    "; arrays are taken as they are: a float becomes another float, integers must be of the input's own type; "
    "see data.preprocess."
)
MAX_ARRAYS = 1024
"""In one archive."""
_COPIES = 3
"""Of a sample while it is read: bytes, the array, and the array in the input's type."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins, whatever the file is called."""
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, zipfile and zlib raise for files that are damaged, encrypted or something else."""


@dataclass(frozen=True)
class _Stored:
    """One array as its header describes it.

    Attributes:
        shape: With the axis of samples first, which a file of one sample may leave out.
        row_shape, row_bytes: Of one sample.
        member: Its name in an archive; None: the file is the array.
        is_ordered: Rows lie one after the other.
        is_shared: One value for every sample.
        is_whole: A sample is the input's whole shape, without an axis of size 1 in front.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    member: str | None
    is_ordered: bool
    is_shared: bool = False
    is_whole: bool = False

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self.shape[1:]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.row_shape) * self.dtype.itemsize


class ArrayFile:
    """The samples of one file; axis 0 counts them.

    Args:
        file: ``.npy`` for a network of one input, or ``.npz`` with the inputs' names.
        inputs: The network's inputs.

    Raises:
        UsageError: Not a NumPy file, cut short, other names, no samples, or arrays that do not fit the inputs.
    """

    def __init__(self, file: Path, inputs: Sequence[TensorSpec]) -> None:
        self._file = file
        with _refusing(file):
            found = _headers(file, inputs[0].name)
        _require_memory(file, found)
        wanted = {spec.name for spec in inputs}
        if set(found) != wanted:
            raise UsageError(f"{file}: holds {sorted(found)}, the network's inputs are {sorted(wanted)}.")
        self._arrays = {spec.name: _as_samples(file, found[spec.name], spec) for spec in inputs}
        self._types = {spec.name: np.dtype(spec.dtype) for spec in inputs}
        counts = {array.shape[0] for array in self._arrays.values() if not array.is_shared} or {1}
        if len(counts) != 1:
            raise UsageError(f"{file}: the arrays disagree on the number of samples (axis 0).")
        self.count = counts.pop()
        if self.count == 0:
            raise UsageError(f"{file}: holds no samples (axis 0 has size 0).")

    @property
    def casts(self) -> list[str]:
        """What is cast to the element type of its input, in words."""
        return [
            f"{name!r} from {array.dtype} to {self._types[name]}"
            for name, array in self._arrays.items()
            if array.dtype != self._types[name]
        ]

    def feeds(self, wanted: Sequence[int]) -> Iterator[dict[str, Array]]:
        """Arrays by input name of the samples with these numbers, batch 1 each.

        Args:
            wanted: Ascending, below ``count``.

        Raises:
            UsageError: The file is damaged, or a sample holds NaN, infinities, or numbers beyond its input's type.
        """
        with ExitStack() as opened:
            rows = {name: opened.enter_context(_rows(self._file, one, wanted)) for name, one in self._arrays.items()}
            for _ in wanted:
                yield {name: self._next(name, each) for name, each in rows.items()}

    def _next(self, name: str, rows: Iterator[Array]) -> Array:
        with _refusing(self._file):
            row = next(rows)
        if row.dtype.kind == "f" and not np.isfinite(row).all():
            raise UsageError(f"{self._file}: {name!r} holds NaN or infinities.")
        wanted = self._types[name]
        with np.errstate(over="ignore"):
            cast = row.astype(wanted, copy=False)
        if wanted.kind == "f" and not np.isfinite(cast).all():
            raise UsageError(f"{self._file}: {name!r} holds numbers beyond {wanted}, which the input takes.")
        return cast[0, ...] if self._arrays[name].is_whole else cast


def array_headers(file: Path, only: str) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Shape and type of every array by name, from the headers, which agree with the sizes of what they head.

    Args:
        file: ``.npy`` or ``.npz``, whatever it is called.
        only: Name of the array of a file that is one.

    Raises:
        UsageError: Not a NumPy file, cut short, Python objects, or too many arrays.
    """
    with _refusing(file):
        return {name: (array.shape, array.dtype) for name, array in _headers(file, only).items()}


def _require_memory(file: Path, arrays: Mapping[str, _Stored]) -> None:
    """Raises: UsageError: A sample would take too much; of an array that is not stored in order, all of them would."""
    wanted = sum(
        array.row_bytes * (1 if array.is_ordered else array.shape[0]) for array in arrays.values() if array.shape
    )
    require_memory(_COPIES * wanted, file.stat().st_size, f"{file}: a sample of it")


def check_fits(
    file: Path | str, shape: Sequence[int], dtype: np.dtype[np.generic], spec: TensorSpec, hint: str = ""
) -> None:
    """Refuse a sample that is not of an input's type and sizes.

    Args:
        file: For the message.
        shape: Of one sample, batch 1 in front; of an input that :func:`is_whole`, its own.
        dtype: Its element type.
        spec: The input.
        hint: What to do.

    Raises:
        UsageError: With what the input takes.
    """
    counted = () if is_whole(spec) else (0,)
    fits = len(shape) == len(spec.shape) and all(
        isinstance(want, str) or axis in counted or got == want
        for axis, (got, want) in enumerate(zip(shape, spec.shape, strict=False))
    )
    if not fits or dtype != np.dtype(spec.dtype):
        want = f"{spec.dtype} {list(spec.shape)}"
        raise UsageError(
            f"{file}: gives {dtype} {list(shape)}, input {spec.name!r} takes {want}{hint or '; see data.preprocess.'}"
        )


def is_whole(spec: TensorSpec) -> bool:
    """Whether axis 0 of an input does not count samples: a scalar, or a first axis of another fixed size than 1."""
    return not spec.shape or (isinstance(spec.shape[0], int) and spec.shape[0] != 1)


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise UsageError(f"{file}: not a readable NumPy file ({error}).") from error


def _headers(file: Path, only: str) -> dict[str, _Stored]:
    """Every array of the file by name; a file that is one array calls it ``only``."""
    with open_plain(file) as opened:
        start = opened.read(4)
        if start not in _ZIP:
            opened.seek(0)
            return {only: _header(opened, None, file.stat().st_size)}
    with zipfile.ZipFile(file) as archive:
        found = {}
        if len(archive.infolist()) > MAX_ARRAYS:
            raise ValueError(f"holds {len(archive.infolist())} arrays, at most {MAX_ARRAYS} are read")
        for info in archive.infolist():
            with archive.open(info) as member:
                found[info.filename.removesuffix(".npy")] = _header(member, info.filename, info.file_size)
        return found


def _header(opened: IO[bytes], member: str | None, size: int) -> _Stored:
    """Raises: ValueError: no header of format 1.0 or 2.0, objects, or ``size`` bytes are too few for its shape."""
    shape, is_fortran, dtype = _read_header(opened)
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape} has a size below 0")
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they hold Python objects")
    stored = _Stored(shape, dtype, member, not is_fortran or len(shape) < 2)
    bytes_wanted = opened.tell() + math.prod(shape) * dtype.itemsize
    if size < bytes_wanted:
        raise ValueError(f"cut short: {size} bytes, {bytes_wanted} wanted")
    return stored


def _read_header(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(opened)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(opened)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(opened)
    raise ValueError(f"format {version[0]}.{version[1]} is for structures, which no network takes")


def _as_samples(file: Path, array: _Stored, spec: TensorSpec) -> _Stored:
    """The array with an axis of samples in front, checked against the input."""
    if is_whole(spec):
        return _as_whole(file, array, spec)
    has_batch = len(array.shape) != len(spec.shape) - 1
    shape = array.shape if has_batch else (1, *array.shape)
    check_fits(file, (min(1, shape[0]), *shape[1:]) if shape else shape, _cast_to(array, spec), spec, _ARRAY_HINT)
    return replace(array, shape=shape)


def _as_whole(file: Path, array: _Stored, spec: TensorSpec) -> _Stored:
    """Of a scalar, or a state whose first axis is not the samples': one for all samples, or one a sample."""
    is_one = len(array.shape) <= len(spec.shape)
    shape = (1, *array.shape) if is_one else array.shape
    check_fits(file, shape[1:], _cast_to(array, spec), spec, _ARRAY_HINT)
    return replace(array, shape=shape, is_shared=shape[0] == 1, is_whole=True)


def _cast_to(array: _Stored, spec: TensorSpec) -> np.dtype[np.generic]:
    """The type in which samples come: any float becomes the input's float; integers stay what they are."""
    wanted = np.dtype(spec.dtype)
    is_same = array.dtype.newbyteorder("=") == wanted
    return wanted if is_same or (array.dtype.kind, wanted.kind) == ("f", "f") else array.dtype


@contextmanager
def _rows(file: Path, array: _Stored, wanted: Sequence[int]) -> Iterator[Iterator[Array]]:
    """Rows of one array, ``[1, ...]`` each, while the file is open."""
    if array.is_shared:
        with _rows(file, replace(array, is_shared=False), [0]) as rows, _refusing(file):
            one = next(rows)
        yield repeat(one)
        return
    if not array.is_ordered:
        yield _loaded_rows(file, array, wanted)
        return
    with ExitStack() as opened:
        with _refusing(file):
            if array.member is None:
                stream: IO[bytes] = opened.enter_context(open_plain(file))
            else:
                archive = opened.enter_context(zipfile.ZipFile(file))
                stream = opened.enter_context(archive.open(array.member))
            _read_header(stream)
        yield _streamed_rows(stream, array, wanted)


def _streamed_rows(stream: IO[bytes], array: _Stored, wanted: Sequence[int]) -> Iterator[Array]:
    at = 0
    for index in wanted:
        stream.seek((index - at) * array.row_bytes, 1)
        row = np.empty((1, *array.row_shape), array.dtype)
        data = stream.read(array.row_bytes)
        if len(data) < array.row_bytes:
            raise ValueError(f"cut short in sample {index}")
        row.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)
        at = index + 1
        if at == array.shape[0]:
            stream.read(1)  # reaching the end of an archive's member compares its checksum
        yield row


def _loaded_rows(file: Path, array: _Stored, wanted: Sequence[int]) -> Iterator[Array]:
    loaded = np.load(file, allow_pickle=False)
    whole: Array = loaded if isinstance(loaded, np.ndarray) else _member(loaded, array.member or "")
    whole = whole.reshape(array.shape)
    for index in wanted:
        yield whole[index : index + 1]


def _member(archive: Mapping[str, Array], name: str) -> Array:
    return archive[name.removesuffix(".npy")]
