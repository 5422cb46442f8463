"""One node as its torch function sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

Tensor: TypeAlias = torch.Tensor


@dataclass(frozen=True, eq=False)
class NodeCall:
    """A node with the values of its inputs.

    Attributes:
        kind: Operator, such as ``Conv``.
        inputs: Tensors in the operator's order; None where one is left out.
        attributes: As the graph spells them: numbers, texts, lists, NumPy arrays.
        opset: Of ONNX's own operators in the graph.
        outputs: How many results the node has.
    """

    kind: str
    inputs: Sequence[Tensor | None]
    attributes: Mapping[str, Any]
    opset: int
    outputs: int = 1

    def tensor(self, index: int) -> Tensor:
        """An input that is always there."""
        found = self.optional(index)
        assert found is not None, f"{self.kind} lacks its input {index}"
        return found

    def optional(self, index: int) -> Tensor | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def integers(self, index: int, attribute: str) -> list[int] | None:
        """Integers that newer opsets take as an input and older ones as an attribute; None: neither."""
        found = self.optional(index)
        if found is not None:
            return [int(one) for one in found.reshape(-1).tolist()]
        value = self.attributes.get(attribute)
        return None if value is None else [int(one) for one in (value if isinstance(value, Sequence) else [value])]

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        return str(self.attributes.get(name, default))

    def integer(self, name: str, default: int) -> int:
        """An attribute that is one integer."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """An attribute that is one float."""
        return float(self.attributes.get(name, default))


Operator: TypeAlias = Callable[[NodeCall], Any]
"""A call to its result: a tensor, or a tuple of them where the node has several."""
