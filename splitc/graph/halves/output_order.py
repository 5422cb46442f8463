"""The order of outputs of a model whose head answers some: noted in the tail, for merging."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx_ir as ir

from splitc.errors import GraphError

KEY = "splitc.outputs"


def write_order(tail: ir.Model, names: Sequence[str]) -> None:
    """Note the names of all outputs of the whole in the metadata of ``tail``."""
    tail.metadata_props[KEY] = json.dumps(list(names))


def in_order(tail: ir.Model, outputs: Sequence[ir.Value]) -> list[ir.Value]:
    """``outputs`` as noted in ``tail``; those that are not noted keep their order, behind the others.

    Raises:
        GraphError: The note is no list of names.
    """
    note = tail.metadata_props.get(KEY, "[]")
    try:
        names = json.loads(note)
    except (ValueError, RecursionError) as error:
        raise _unreadable(note) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _unreadable(note)
    places = {name: place for place, name in enumerate(names)}
    return sorted(outputs, key=lambda value: places.get(value.name or "", len(places)))


def _unreadable(note: str) -> GraphError:
    return GraphError(f"merge: the tail's metadata {KEY!r} is {note[:40]!r}, no list of names; remove it.")
