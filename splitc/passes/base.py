"""The form of every pass: a frozen dataclass whose fields are its options, called with a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError, OwnFault

WHOSE_FAULT = "This is a fault of splitc, not of the model: please report it, with the model if you can."


@dataclass(frozen=True, eq=False)
class PassResult:
    """What a pass did.

    Attributes:
        model: The new model; the one passed in is unchanged.
        changed: Whether it differs.
        notes: Short sentences for the report.
        original: Where layers were quantized, the float model that :class:`splitc.passes.LiftLayers` lifts back to.
    """

    model: ir.Model
    changed: bool
    notes: tuple[str, ...] = ()
    original: ir.Model | None = None


class Pass(Protocol):
    """Graph in, graph out."""

    name: ClassVar[str]

    def __call__(self, model: ir.Model) -> PassResult:
        """Apply the pass to a copy of ``model``."""
        ...


def apply(step: Pass, model: ir.Model) -> PassResult:
    """What ``step`` makes of a sound model, checked: every pass of a build runs through here.

    Raises:
        OwnFault: It is unsound; the message names the pass.
        SplitcError: The pass refuses the model.
    """
    result = step(model)
    if result.changed:
        require_sound(result.model, f"pass {step.name!r}")
    return result


def apply_all(steps: Sequence[Pass], model: ir.Model) -> PassResult:
    """:func:`apply` of one pass after the other, with the notes of all."""
    result, notes = PassResult(model, False), list[str]()
    for step in steps:
        result = apply(step, result.model)
        notes += result.notes
    return PassResult(result.model, bool(notes), tuple(notes))


def require_sound(model: ir.Model, step: str) -> None:
    """Raises: OwnFault: ``model``, which ``step`` made of a sound one, is not."""
    try:
        graph.verify(model, f"{step} made an unsound graph of a sound one")
    except GraphError as error:
        reason, _, _ = str(error).partition(";")  # what follows tells whoever made a model what to do
        raise OwnFault(f"{reason.rstrip('.')}. {WHOSE_FAULT}") from error
