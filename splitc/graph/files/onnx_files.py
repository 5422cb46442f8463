"""ONNX files on disk: read without loading external data, hash in blocks, write the same bytes each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from splitc import files
from splitc.errors import GraphError
from splitc.graph.files.dense import without_sparse
from splitc.graph.files.soundness import odd_external_field, refuse_damage, refuse_double_names

Change: TypeAlias = Callable[[ir.ExternalTensor], ir.TensorProtocol]
DATA = ".data"
"""Added to a model's name: the file of its external weights."""
EXTERNAL_ABOVE_BYTES = 1_900_000_000
"""protobuf ends at 2 GiB; weights of more than this go into a file beside the model."""
SMALL_TENSOR_BYTES = 1024
"""External tensors up to this size are read at once: shape inference needs their values."""


def read(path: Path) -> tuple[ir.Model, tuple[Path, ...]]:
    """Parse a model and check its external data without reading it.

    Returns:
        The model and its external data files, sorted.

    Raises:
        GraphError: Absent, not ONNX, or with external data that is missing, short or outside the folder.
    """
    if not path.is_file():
        raise GraphError(f"{path}: no such file; give the path of an ONNX model.")
    try:
        model = _parsed(path)
        refuse_damage(model)
    except Exception as error:  # protobuf and onnx-ir raise a dozen unrelated types on damaged files
        cause = odd_external_field(path) or _cause(error)
        raise GraphError(f"{path}: not a readable ONNX model ({cause}); export it again.") from error
    found = {_checked(tensor, path) for tensor in external_tensors(model)}
    follow = partial(_linked, folder=path.parent.resolve())
    _replace_external(model, follow, follow)
    try:
        _replace_external(model, _in_memory_if_small, _in_memory)  # onnx-ir would not write Constant nodes' back
    except (OSError, ValueError) as error:
        raise GraphError(f"{path}: external data cannot be read ({error}); copy the file again.") from error
    return model, tuple(sorted(found))


def fingerprint(path: Path, external: tuple[Path, ...]) -> str:
    """SHA-256 of the model file, or of the list of all its files' SHA-256 when there is external data."""
    if not external:
        return files.sha256_of(path)
    lines = [f"{files.sha256_of(path)}  model\n"]
    folder = path.parent.resolve()
    lines += [f"{files.sha256_of(file)}  {os.path.relpath(file, folder)}\n" for file in external]
    return files.sha256_bytes("".join(lines).encode())


def save(model: ir.Model, path: Path | str, external: bool | None = None) -> tuple[Path, ...]:
    """Write a model: the same model gives the same bytes, with no paths of this machine in them.

    Args:
        model: What to write; it is left unchanged.
        path: The ``.onnx`` file.
        external: Weights in ``path`` + ".data"; by default only when they are too big for one file.

    Returns:
        The files written.

    Raises:
        GraphError: The folder is absent or cannot be written.
    """
    path = Path(path)
    if external is None:
        external = weight_bytes(model) > EXTERNAL_ABOVE_BYTES
    data = path.with_name(path.name + DATA)
    try:
        if external:
            ir.save(model, path, external_data=data.name)
            return (path, data) if data.exists() else (path,)
        path.write_bytes(to_bytes(model))
    except OSError as error:
        raise GraphError(f"{path}: cannot be written ({error.strerror}); choose another folder.") from error
    return (path,)


def save_alike(model: ir.Model, path: Path) -> tuple[Path, ...]:
    """``save``, with weights that were external written as external again, copied without being read.

    Raises:
        GraphError: The folder is absent or cannot be written.
    """
    is_external = next(external_tensors(model), None) is not None
    return save(model, path, external=True if is_external else None)


def with_data_file(path: Path, name: str) -> None:
    """Let the model at ``path`` read its external weights from ``name``; it must not read more than one file."""
    model = ir.load(path)
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(tensor := value.const_value, ir.ExternalTensor):
                value.const_value = ir.ExternalTensor(
                    name, tensor.offset, tensor.length, tensor.dtype, shape=tensor.shape, name=tensor.name or ""
                )
    path.write_bytes(bytes(ir.to_proto(model).SerializeToString(deterministic=True)))


def to_bytes(model: ir.Model) -> bytes:
    """Serialize with every weight inside.

    Raises:
        GraphError: The weights do not fit into one protobuf.
    """
    if weight_bytes(model) > EXTERNAL_ABOVE_BYTES:
        raise GraphError(f"the model holds {weight_bytes(model)} bytes of weights; save it with external data.")
    inline = ir.external_data.load_to_model(model.clone())
    return bytes(ir.to_proto(inline).SerializeToString(deterministic=True))


def from_bytes(data: bytes) -> ir.Model:
    """Invert :func:`to_bytes`; the bytes are our own.

    Raises:
        ValueError: They are no model.
    """
    try:
        model: ir.Model = ir.from_proto(onnx.load_from_string(data))
        return model
    except DecodeError as error:
        raise ValueError(f"not an ONNX model ({error})") from error


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers."""
    tensors = (value.const_value for graph in model.graphs() for value in graph.initializers.values())
    return sum(int(tensor.nbytes) for tensor in tensors if tensor is not None and tensor.dtype != ir.DataType.STRING)


def external_tensors(model: ir.Model) -> Iterator[ir.ExternalTensor]:
    """Every tensor that lives outside the model file, in initializers and in node attributes."""
    for graph in model.graphs():
        held = (value.const_value for value in graph.initializers.values())
        attributes = (attribute for node in graph for attribute in node.attributes.values())
        tensors = (one.as_tensor() for one in attributes if one.type == ir.AttributeType.TENSOR and not one.is_ref())
        for tensor in (*held, *tensors):
            if isinstance(tensor, ir.ExternalTensor):
                yield tensor


LONGEST_NAME = 255
"""Bytes of a part of a path, on every usual file system."""


def _parsed(path: Path) -> ir.Model:
    """The model with its external tensors found from its folder.

    Raises:
        ValueError: Two initializers of one graph have one name.
    """
    proto = onnx.load(path, load_external_data=False)
    refuse_double_names(proto)
    model: ir.Model = ir.from_proto(without_sparse(proto))
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _checked(tensor: ir.ExternalTensor, path: Path) -> Path:
    """The file of an external tensor, proven to be the model's own and to be long enough.

    It lies in the model's folder or is a link in it, to a file in that folder or beside the file that the model itself
    is a link to: caches keep models and weights side by side under other names. ONNX Runtime asks for the same.
    """
    where, named = f"{path}: tensor {tensor.name!r}", os.fsdecode(tensor.location)  # bytes where it is no UTF-8
    if "\0" in named or max(map(len, os.fsencode(named).split(b"/"))) > LONGEST_NAME:
        raise GraphError(f"{where}: external data {named[:80]!r} is no name of a file; export the model anew.")
    if tensor.dtype == ir.DataType.UNDEFINED:
        raise GraphError(f"{where}: has no element type; export the model anew.")
    folder, location = path.parent.resolve(), Path(named)
    file = folder / os.path.normpath(location)
    real = file.resolve()
    is_own = real.is_relative_to(folder) or real.parent == path.resolve().parent
    is_inside = file.is_relative_to(folder) and is_own
    if location.is_absolute() or not is_inside:
        raise GraphError(f"{where}: external data {str(location)!r} is outside the model's folder; copy it beside it.")
    if not file.is_file():
        raise GraphError(f"{where}: external data file {str(location)!r} is missing; copy it beside the model.")
    if file.stat().st_nlink > 1:
        raise GraphError(f"{where}: external data {str(location)!r} has several hard links; replace it by a copy.")
    offset, length = tensor.offset or 0, tensor.length or tensor.nbytes
    if offset < 0 or length != tensor.nbytes or offset + length > file.stat().st_size:
        raise GraphError(
            f"{where}: needs {tensor.nbytes} bytes at offset {offset} of {str(location)!r}, which has "
            f"{file.stat().st_size} and grants {length}; the file is truncated or belongs to another model."
        )
    return file


def _replace_external(model: ir.Model, weight: Change, constant: Change) -> None:
    """Put something in the place of every external initializer, and of every external tensor of a Constant node."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if isinstance(tensor := value.const_value, ir.ExternalTensor):
                value.const_value = weight(tensor)
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if attribute.type == ir.AttributeType.TENSOR and isinstance(attribute.value, ir.ExternalTensor):
                    node.attributes[name] = ir.AttrTensor(name, constant(attribute.value))


def _linked(tensor: ir.ExternalTensor, folder: Path) -> ir.ExternalTensor:
    """The tensor as it lies behind a link out of ``folder``; onnx-ir itself follows none."""
    real = (folder / tensor.location).resolve()
    if real.is_relative_to(folder):
        return tensor
    return ir.ExternalTensor(
        real.name,
        tensor.offset,
        tensor.length,
        tensor.dtype,
        shape=tensor.shape,
        name=tensor.name or "",
        base_dir=real.parent,
    )


def _in_memory_if_small(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return _in_memory(tensor) if tensor.nbytes <= SMALL_TENSOR_BYTES else tensor


def _in_memory(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    return ir.Tensor(tensor.numpy().copy(), name=tensor.name, dtype=tensor.dtype)


def _cause(error: BaseException) -> str:
    """First line of the innermost cause, for one-sentence messages."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [""])[0].rstrip(".;")[:120] or type(error).__name__
