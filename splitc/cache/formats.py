"""Results as bytes and back: tables as JSON, arrays as NumPy's own format one behind the other."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from splitc.types import Array


def bytes_from_json(value: Any) -> bytes:
    """Canonical JSON; floats keep every bit."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def json_from_bytes(data: bytes) -> Any:
    """Invert :func:`bytes_from_json`.

    Raises:
        ValueError: Not JSON.
    """
    return json.loads(data)


def bytes_from_arrays(arrays: Sequence[Array]) -> bytes:
    """Arrays of any shape and numeric type."""
    out = io.BytesIO()
    for array in arrays:
        np.lib.format.write_array(out, np.asarray(array, order="C"), allow_pickle=False)
    return out.getvalue()


def arrays_from_bytes(data: bytes) -> list[Array]:
    """Invert :func:`bytes_from_arrays`.

    Raises:
        ValueError: Not arrays.
    """
    source, arrays = io.BytesIO(data), list[Array]()
    while source.tell() < len(data):
        arrays.append(np.lib.format.read_array(source, allow_pickle=False))
    return arrays
