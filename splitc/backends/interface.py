"""Inputs and outputs of an ONNX file, read without any ONNX package.

The edge box has no ``onnx``, and a build script must know shapes and files before a toolkit is there. The file is
memory-mapped and weights are skipped, so a model of gigabytes costs as little as a small one. Field numbers are those
of ``onnx.proto``; the encoding is protobuf's (tag = field << 3 | wire type).

    ModelProto.graph 7 ─► GraphProto ─┬─ node 1         NodeProto: output 2, name 3, op_type 4
                                      ├─ initializer 5  TensorProto: data_type 2, name 8, external_data 13
                                      ├─ input 11       ValueInfoProto: name 1, type 2
                                      └─ output 12        └─ tensor_type 1: elem_type 1, shape 2 ─► dim 1
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from splitc.backends.feeds import UNNAMED
from splitc.errors import BackendError
from splitc.files import open_plain, sha256_of
from splitc.types import NO_DIM_NAMES, TensorSpec

_MODEL_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_MOST_SIZE = (1 << 63) - 1
"""Of a dimension; the format spells a negative one as a larger number."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_ELEMENT_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    16: "bfloat16",
}

Span: TypeAlias = tuple[int, int]
Buffer: TypeAlias = mmap.mmap | bytes
FieldValue: TypeAlias = tuple[int, int, Span]
"""Field number, varint value (0 for other wire types), span of the payload (empty for varints)."""


class _MalformedError(Exception):
    """The bytes are not protobuf."""


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a model, and the files that it consists of.

    Attributes:
        inputs: Graph inputs that are not weights; an unnamed dynamic dimension is called ``?``.
        outputs: Graph outputs.
        external_files: Weight files beside the model, relative to its folder, sorted.
        operators: Kinds of the top graph's nodes.
        weight_types: Element types of the weights, as far as they are known here.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    external_files: tuple[str, ...]
    operators: frozenset[str] = frozenset()
    weight_types: frozenset[str] = frozenset()


def read_interface(model_path: Path) -> Interface:
    """Read ``model_path``.

    Raises:
        BackendError: No such file, not an ONNX model, a tensor of a type that no backend takes, or weights
            outside the model's folder.
    """
    try:
        with open_plain(model_path, BackendError) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _interface_from_model(data, model_path.name)
    except (OSError, ValueError) as error:  # mmap refuses an empty file with ValueError
        raise BackendError(f"{model_path.name}: cannot be read: {error}.") from error
    except _MalformedError as error:
        raise BackendError(f"{model_path.name}: not an ONNX model ({error}).") from error


def interface_of(data: bytes, name: str) -> Interface:
    """:func:`read_interface` of a model in memory; ``name`` is for messages.

    Raises:
        BackendError: As :func:`read_interface`.
    """
    try:
        return _interface_from_model(data, name)
    except _MalformedError as error:
        raise BackendError(f"{name}: not an ONNX model ({error}).") from error


def harmful_passes(interface: Interface) -> list[str]:
    """ONNX Runtime's own passes to leave out: its blocked layout (1.32) ends the process where a float16 Transpose
    stands in front of a MatMul.
    """
    is_at_risk = {"Transpose", "MatMul"} <= interface.operators and "float16" in interface.weight_types
    return ["NchwcTransformer"] if is_at_risk else []


def node_outputs(model_path: Path) -> dict[str, str]:
    """Name of a node of the top graph, or of its first output, as toolkits use either -> that output.

    Raises:
        BackendError: No such file, or not an ONNX model.
    """
    try:
        with open_plain(model_path, BackendError) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            graphs = [span for number, _, span in _fields(data, (0, len(data))) if number == _MODEL_GRAPH]
            nodes = [span for number, _, span in _fields(data, graphs[-1]) if number == _NODE] if graphs else []
            return dict(named for span in nodes for named in _named_output(data, span))
    except (OSError, ValueError) as error:
        raise BackendError(f"{model_path.name}: cannot be read: {error}.") from error
    except _MalformedError as error:
        raise BackendError(f"{model_path.name}: not an ONNX model ({error}).") from error


def _named_output(data: Buffer, node: Span) -> list[tuple[str, str]]:
    outputs = [_text(data, inner) for number, _, inner in _fields(data, node) if number == 2]
    names = [_text(data, inner) for number, _, inner in _fields(data, node) if number == 3]
    return [(name, outputs[0]) for name in (*names[:1], *outputs[:1]) if name and outputs]


def model_digests(model_path: Path, interface: Interface) -> dict[str, str]:
    """sha256 of the model and of each external weight file, by path relative to the model's folder."""
    digests = {}
    for name in (model_path.name, *interface.external_files):
        try:
            digests[name] = sha256_of(model_path.parent / name)
        except OSError as error:
            raise BackendError(f"{model_path.name}: weight file {name!r} cannot be read: {error}.") from error
    return digests


def _interface_from_model(data: Buffer, name: str) -> Interface:
    graphs = [span for number, _, span in _fields(data, (0, len(data))) if number == _MODEL_GRAPH]
    if not graphs:
        raise _MalformedError("no graph in it")
    weights: set[str] = set()
    external: set[str] = set()
    operators: set[str] = set()
    types: set[int] = set()
    inputs, outputs = [], []
    for number, _, span in _fields(data, graphs[-1]):
        if number == _INITIALIZER:
            _read_initializer(data, span, weights, external, types)
        elif number == _NODE:
            operators.update(_text(data, inner) for key, _, inner in _fields(data, span) if key == 4)
        elif number == _INPUT:
            inputs.append(span)
        elif number == _OUTPUT:
            outputs.append(span)
    for location in external:
        if not location.isprintable():  # it stands in build.sh
            raise BackendError(f"{name}: weights at {location!r}: give the file a plain name.")
        if PurePosixPath(location).is_absolute() or ".." in PurePosixPath(location).parts:
            raise BackendError(f"{name}: weights at {location!r} lie outside the model's folder; move them beside it.")
    specs = [_value_info(data, span, name) for span in inputs]
    return Interface(
        inputs=tuple(spec for spec in specs if spec.name not in weights),
        outputs=tuple(_value_info(data, span, name) for span in outputs),
        external_files=tuple(sorted(external)),
        operators=frozenset(operators),
        weight_types=frozenset(_ELEMENT_TYPES[one] for one in types & _ELEMENT_TYPES.keys()),
    )


def _read_initializer(data: Buffer, span: Span, weights: set[str], external: set[str], types: set[int]) -> None:
    """Note the name and type of one weight and, where its bytes are elsewhere, the file."""
    for number, value, inner in _fields(data, span):
        if number == 2:
            types.add(value)
        elif number == 8:
            weights.add(_text(data, inner))
        elif number == 13:
            entry = {key: _text(data, value) for key, _, value in _fields(data, inner)}
            if entry.get(1) == "location":
                external.add(entry.get(2, ""))


def _value_info(data: Buffer, span: Span, model: str) -> TensorSpec:
    name, element = "", 0
    shape: list[int | str] = []
    for number, _, inner in _fields(data, span):
        if number == 1:
            name = _text(data, inner)
        elif number == 2:
            element, shape = _tensor_type(data, inner)
    if element not in _ELEMENT_TYPES:
        raise BackendError(f"{model}: tensor {name!r} has ONNX element type {element}, which no backend takes.")
    return TensorSpec(name=name, dtype=_ELEMENT_TYPES[element], shape=tuple(shape))


def _tensor_type(data: Buffer, span: Span) -> tuple[int, list[int | str]]:
    """Element type (0 when it is not a tensor) and shape of a TypeProto."""
    element = 0
    shape: list[int | str] = []
    for number, _, tensor in _fields(data, span):
        if number != 1:
            continue
        for inner_number, value, inner in _fields(data, tensor):
            if inner_number == 1:
                element = value
            elif inner_number == 2:
                shape = [_dim(data, dim) for key, _, dim in _fields(data, inner) if key == 1]
    return element, shape


def _dim(data: Buffer, span: Span) -> int | str:
    """A size, a name, or ``?``: exporters write 0 and -1 for sizes that are not known, and names that are none."""
    for number, value, inner in _fields(data, span):
        if number == 1:
            return value if 0 < value <= _MOST_SIZE else UNNAMED
        if number == 2:
            name = _text(data, inner)
            return UNNAMED if name in NO_DIM_NAMES else name
    return UNNAMED


def _text(data: Buffer, span: Span) -> str:
    try:
        return data[span[0] : span[1]].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _MalformedError(f"a name at offset {span[0]} is not UTF-8") from error


def _fields(data: Buffer, span: Span) -> Iterator[FieldValue]:
    """Walk the fields of one message; every length is checked against the message's end."""
    position, end = span
    while position < end:
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        value, start = 0, position
        if wire == _VARINT:
            value, position = _varint(data, position, end)
            start = position
        elif wire == _BYTES:
            length, start = _varint(data, position, end)
            position = start + length
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        else:
            raise _MalformedError(f"wire type {wire} at offset {start}")
        if position > end or number == 0:
            raise _MalformedError(f"field {number} at offset {start} does not fit")
        yield number, value, (start, position)


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _MalformedError(f"number at offset {position} does not end")
