"""What a tail knows of the whole, for merging: the order of its outputs and inputs, and which inputs it is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import onnx_ir as ir

from splitc.errors import GraphError

OUTPUTS, INPUTS, GIVEN = "splitc.outputs", "splitc.inputs", "splitc.given"


class NotedInputs(NamedTuple):
    """Names of all inputs of the whole, in order, and of those that the tail takes as they are."""

    order: list[str]
    given: list[str]


def write_order(tail: ir.Model, names: Sequence[str]) -> None:
    """Note the names of all outputs of the whole in the metadata of ``tail``."""
    tail.metadata_props[OUTPUTS] = json.dumps(list(names))


def write_inputs(tail: ir.Model, names: Sequence[str], given: Sequence[str]) -> None:
    """Note the names of all inputs of the whole, and of those that ``tail`` takes as they are."""
    tail.metadata_props[INPUTS] = json.dumps(list(names))
    tail.metadata_props[GIVEN] = json.dumps(list(given))


def in_order(tail: ir.Model, outputs: Sequence[ir.Value]) -> list[ir.Value]:
    """``outputs`` as noted in ``tail``; those that are not noted keep their order, behind the others.

    Raises:
        GraphError: The note is no list of names.
    """
    return sorted_by(_noted(tail, OUTPUTS), outputs)


def noted_inputs(tail: ir.Model) -> NotedInputs:
    """What :func:`write_inputs` noted; nothing in a tail that is given nothing.

    Raises:
        GraphError: A note is no list of names.
    """
    return NotedInputs(_noted(tail, INPUTS), _noted(tail, GIVEN))


def sorted_by(names: Sequence[str], values: Sequence[ir.Value]) -> list[ir.Value]:
    """``values`` in the order of ``names``; others behind them."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(values, key=lambda value: places.get(value.name or "", len(places)))


def _noted(tail: ir.Model, key: str) -> list[str]:
    note = tail.metadata_props.get(key, "[]")
    try:
        names = json.loads(note)
    except (ValueError, RecursionError) as error:
        raise _unreadable(key, note) from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _unreadable(key, note)
    return names


def _unreadable(key: str, note: str) -> GraphError:
    return GraphError(f"merge: the tail's metadata {key!r} is {note[:40]!r}, no list of names; remove it.")
