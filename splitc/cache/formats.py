"""Results to files and back: tables as JSON, arrays in NumPy's own format one behind the other, none copied."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from splitc.types import Array

Parts: TypeAlias = Sequence[bytes | memoryview]
"""What a result is written as: buffers, one behind the other."""


def parts_of_json(value: Any) -> Parts:
    """Canonical JSON; floats keep every bit."""
    return [json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()]


def json_from_file(file: BinaryIO) -> Any:
    """Invert :func:`parts_of_json`.

    Raises:
        ValueError: Not JSON.
    """
    return json.loads(file.read())


def parts_of_arrays(arrays: Sequence[Array]) -> Parts:
    """Arrays of any shape and numeric type: a header and the array's own memory each."""
    return [part for array in arrays for part in _parts(np.asarray(array, order="C"))]


def arrays_from_file(file: BinaryIO) -> list[Array]:
    """Invert :func:`parts_of_arrays`; reads to the end of the file, straight into the arrays.

    Raises:
        ValueError: Not arrays.
    """
    arrays = list[Array]()
    while start := file.read(1):
        file.seek(-len(start), io.SEEK_CUR)
        arrays.append(np.lib.format.read_array(file, allow_pickle=False))
    return arrays


def _parts(array: Array) -> Iterator[bytes | memoryview]:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    yield header.getvalue()
    if array.size:
        yield array.reshape(-1).view(np.uint8).data
