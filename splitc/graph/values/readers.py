"""Who reads a value: nodes of its graph and of the bodies inside, and whoever gets what a graph or a body hands out."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

import onnx_ir as ir

Operand: TypeAlias = tuple[ir.Node, int]
"""A node, and the place of one of its inputs."""


def operands_that_read(value: ir.Value) -> set[Operand]:
    """Every operand of every node that is ``value``, those inside If, Loop and Scan bodies included."""
    return {(use.node, use.idx) for use in value.uses()}


def is_read_beside(value: ir.Value, known: Collection[Operand] = ()) -> bool:
    """Whether anybody but the operands ``known`` sees ``value``: another node, or whoever takes a graph's outputs.

    A pass that removes what makes a value, gives the value another name or meaning, or edits a weight, asks this.
    """
    return value.is_graph_output() or not operands_that_read(value) <= set(known)
