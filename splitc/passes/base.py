"""The form of every pass: a frozen dataclass whose fields are its options, called with a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import onnx_ir as ir


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
