"""What is known about a value before running anything: element type, shape, bytes on the wire."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from splitc.types import TensorSpec

FLOAT_TYPES = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
WIRE_BYTES_PER_ELEMENT = 4
"""A feature is counted as float32, whatever type it has in the graph."""
_NOT_PARAMETERS = frozenset({ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.STRING})


def dims_of(value: ir.Value) -> tuple[int | str, ...] | None:
    """Sizes and names of the dimensions, or None when the rank is unknown.

    A dimension that shape inference could not name is called after the value and its axis.
    """
    if value.shape is None:
        return None
    return tuple(
        dim if isinstance(dim, int) else dim.value or f"{value.name}_dim{axis}" for axis, dim in enumerate(value.shape)
    )


def symbols_of(value: ir.Value) -> frozenset[str]:
    """Names of the dynamic dimensions of a value."""
    return frozenset(dim for dim in dims_of(value) or () if isinstance(dim, str))


def has_named_dims(value: ir.Value) -> bool:
    """Whether every dimension is a number or a name given by the model or by shape inference."""
    return value.shape is not None and all(isinstance(dim, int) or dim.value for dim in value.shape)


def is_tensor(value: ir.Value) -> bool:
    """Whether the value is a dense tensor of known element type."""
    return isinstance(value.type, ir.TensorType) and value.dtype not in (None, ir.DataType.UNDEFINED)


def is_sequence(value: ir.Value) -> bool:
    """Whether the value is a list of tensors."""
    return isinstance(value.type, ir.SequenceType)


def dtype_name(dtype: ir.DataType | None) -> str:
    """numpy's name of an element type: float32, uint8, int64."""
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return "unknown"
    if dtype == ir.DataType.STRING:
        return "str"
    return str(dtype.numpy())


def spec_of(value: ir.Value) -> TensorSpec:
    """Describe a tensor of known type and rank."""
    shape = dims_of(value)
    assert shape is not None, value.name
    return TensorSpec(name=value.name or "", dtype=dtype_name(value.dtype), shape=shape)


def unknown_reason(value: ir.Value) -> str | None:
    """Why a value cannot be named in a contract between two halves, or None."""
    if value.type is not None and not isinstance(value.type, ir.TensorType):
        return f"value {value.name!r} is a {type(value.type).__name__.removesuffix('Type').lower()}, not a tensor"
    if not is_tensor(value) or value.shape is None:
        return f"value {value.name!r} has unknown shape"
    return None


def uncodable_reason(value: ir.Value) -> str | None:
    """Why a codec cannot take a value, or None."""
    if value.dtype not in FLOAT_TYPES:
        return f"value {value.name!r} also crosses and is {dtype_name(value.dtype)}; a codec takes float tensors"
    if dims_of(value) == ():
        return f"value {value.name!r} also crosses and is a scalar; a codec takes tensors of one dimension or more"
    return None


def open_dims(inputs: Sequence[TensorSpec]) -> dict[str, tuple[str, int]]:
    """Dynamic dimensions that do not count samples -> the first input that has each, and its axis.

    Samples lie on axis 0 of some input; what has that name elsewhere counts them too.
    """
    samples = {spec.shape[0] for spec in inputs if spec.shape}
    found: dict[str, tuple[str, int]] = {}
    for spec in inputs:
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and dim not in samples:
                found.setdefault(dim, (spec.name, axis))
    return found


def elements_of(shape: tuple[int | str, ...]) -> int:
    """Number of elements with every dynamic dimension taken as 1."""
    return math.prod(1 if isinstance(dim, str) else dim for dim in shape)


def wire_bytes_of(value: ir.Value) -> int:
    """Bytes of the value as float32, dynamic dimensions taken as 1."""
    return WIRE_BYTES_PER_ELEMENT * elements_of(dims_of(value) or ())


def own_bytes(spec: TensorSpec) -> int:
    """Bytes of a tensor in its own element type, dynamic dimensions taken as 1; text counts as nothing."""
    if spec.dtype == "str":
        return 0
    return math.ceil(ir.DataType.from_numpy(np.dtype(spec.dtype)).itemsize * elements_of(spec.shape))


def parameters_of(initializer: ir.Value) -> int:
    """Trained numbers in an initializer: its elements, unless it is an index, a mask or text."""
    tensor = initializer.const_value
    if tensor is None or tensor.dtype in _NOT_PARAMETERS:
        return 0
    return int(tensor.size)
