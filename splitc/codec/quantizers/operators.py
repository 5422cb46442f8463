"""The few operators that a quantizer is written in: one text, read by NumPy here and by a graph in ``splitc.passes``.

Everything is float32 arithmetic that IEEE 754 defines exactly (add, subtract, multiply, divide, round, compare) or a
table lookup, so both readers get the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

import numpy as np

from splitc.errors import CodecError
from splitc.types import F32, Array

T = TypeVar("T")
"""What the operators work on: an array, or a value of a graph."""


class Operators(Protocol[T]):
    """Standard ONNX operators on values ``T``; a wire has its samples on axis 0 and its channels on axis 1."""

    def op(self, kind: str, *inputs: T) -> T:
        """An elementwise operator by its ONNX name; inputs broadcast."""
        ...

    def cast(self, x: T, to: Literal["float32", "int32"]) -> T:
        """``x`` in another element type."""
        ...

    def constant(self, label: str, value: Array | np.generic) -> T:
        """A constant; the same label means the same value."""
        ...

    def per_channel(self, label: str, row: Array) -> T:
        """``[S]`` shaped to broadcast over axis 1; a single value broadcasts over everything."""
        ...

    def pick(self, label: str, rows: Array, index: T) -> T:
        """``rows[channel, index]`` of ``rows`` ``[S, count]``; ``index`` is int32 and in range."""
        ...

    def of_sample(self, kind: Literal["ReduceMin", "ReduceMax"], x: T) -> T:
        """Extreme of every sample; of ``x``'s rank, with axes of size 1."""
        ...

    def join_side(self, *values: T) -> T:
        """Values of :meth:`of_sample`'s shape to ``[n, len(values)]``."""
        ...

    def side_value(self, side: T, column: int) -> T:
        """One column of ``[n, columns]``, shaped to broadcast over a feature's samples."""
        ...


class NumpyOperators:
    """:class:`Operators` computed at once.

    Args:
        rank: Of the wire.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def op(self, kind: str, *inputs: Array) -> Array:
        return _KINDS[kind](*inputs)

    def cast(self, x: Array, to: Literal["float32", "int32"]) -> Array:
        return x.astype(to)

    def constant(self, label: str, value: Array | np.generic) -> Array:
        return np.asarray(value)

    def per_channel(self, label: str, row: Array) -> Array:
        return row.reshape(()) if len(row) == 1 else row.reshape(-1, *[1] * (self.rank - 2))

    def pick(self, label: str, rows: Array, index: Array) -> Array:
        return look_up(rows, index)

    def of_sample(self, kind: Literal["ReduceMin", "ReduceMax"], x: Array) -> Array:
        extreme = {"ReduceMin": np.minimum, "ReduceMax": np.maximum}[kind]
        reduced: Array = extreme.reduce(x, axis=tuple(range(1, x.ndim)), keepdims=True)
        return reduced

    def join_side(self, *values: Array) -> Array:
        return np.concatenate([value.reshape(-1, 1) for value in values], axis=1)

    def side_value(self, side: Array, column: int) -> Array:
        return side[:, column].reshape(-1, *[1] * (self.rank - 1))


_KINDS: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "Clip": np.clip,
    "Div": np.divide,
    "Less": np.less,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Not": np.logical_not,
    "Relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "Round": np.rint,
    "Sub": np.subtract,
    "Where": np.where,
}


def against_channels(row_values: F32, x: Array) -> F32:
    """Reshape ``[S]`` so that it broadcasts over axis 1 of ``x``.

    Raises:
        CodecError: ``x`` has another number of channels.
    """
    if len(row_values) == 1:
        return row_values.reshape(())
    if x.ndim < 2 or x.shape[1] != len(row_values):
        raise CodecError(
            f"feature of shape {list(x.shape)}: the codec was fitted on {len(row_values)} channels (axis 1)."
        )
    return row_values.reshape(1, -1, *[1] * (x.ndim - 2))


def look_up(rows: Array, index: Array) -> Array:
    """``rows[channel, index]``, the channel being axis 1 of ``index``; one row serves all channels.

    Raises:
        CodecError: ``index`` has another number of channels.
    """
    if len(rows) == 1:
        shared: Array = np.take(rows[0], index)
        return shared
    if index.ndim < 2 or index.shape[1] != len(rows):
        raise CodecError(f"symbols of shape {list(index.shape)}: the codec has {len(rows)} channels (axis 1).")
    channel = np.arange(len(rows)).reshape(1, -1, *[1] * (index.ndim - 2))
    picked: Array = rows[channel, index]
    return picked
