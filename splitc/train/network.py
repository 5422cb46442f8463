"""A graph as a torch module: the same numbers, with gradients. Its weights go back into the graph by name.

Only what trains is converted, so a graph need not be convertible outside its tail. The converter is splitc's own: a
table of functions over the operators that networks at hand have, without torchvision, whose compiled operators are tied
to one build of torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from torch import nn

from splitc.errors import CapabilityError
from splitc.train.operators import FAULTS, OPERATORS, NodeCall, Tensor, tensor_from
from splitc.types import Array

OWN_DOMAINS = ("", "ai.onnx")
MOST_NAMED = 5
"""Nodes that a refusal names."""


@dataclass(frozen=True)
class UnconvertedNode:
    """A node that has no torch function here.

    Attributes:
        name: Its own, else that of its first output.
        kind: Domain and operator.
        reason: Why.
    """

    name: str
    kind: str
    reason: str


def unconverted_nodes(model: ir.Model) -> list[UnconvertedNode]:
    """Every node that keeps a graph from being trained."""
    found = []
    for node in model.graph:
        reason = _fault(node)
        if reason:
            kind = node.op_type if node.domain in OWN_DOMAINS else f"{node.domain}::{node.op_type}"
            found.append(UnconvertedNode(node.name or node.outputs[0].name or "", kind, reason))
    return found


def _fault(node: ir.Node) -> str:
    if node.domain not in OWN_DOMAINS or node.op_type not in OPERATORS:
        return "the operator has no torch function here"
    if node.op_type != "Split" and sum(bool(value.name) for value in node.outputs) > 1:
        return "only its first output is computed"
    return FAULTS[node.op_type](_attributes(node)) if node.op_type in FAULTS else ""


class TorchNetwork(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """A graph that computes in float32 and can be trained.

    Args:
        model: The graph; it is not changed.

    Raises:
        CapabilityError: Nodes cannot be converted; the message names them.
    """

    def __init__(self, model: ir.Model) -> None:
        super().__init__()
        _refuse(model)
        graph = model.graph
        self.input_names = tuple(value.name or "" for value in graph.inputs if not value.is_initializer())
        self.output_names = tuple(value.name or "" for value in graph.outputs)
        self._opset = model.opset_imports.get("", 1)
        self._nodes = [_Step(node) for node in graph]
        self._places: dict[str, str] = {}
        self._constants: dict[str, Tensor] = {}
        for index, (name, value) in enumerate(graph.initializers.items()):
            assert value.const_value is not None, name
            tensor = tensor_from(value.const_value.numpy())
            if tensor.is_floating_point():
                self._places[name] = f"w{index}"
                self.register_parameter(f"w{index}", nn.Parameter(tensor, requires_grad=False))
            else:
                self._constants[name] = tensor
        self._last_use = _last_uses(self._nodes)

    def forward(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs by name, from inputs by name."""
        known = {**self._constants, **{name: getattr(self, at) for name, at in self._places.items()}, **feeds}
        for index, step in enumerate(self._nodes):
            found = step.run([known[name] if name else None for name in step.inputs], self._opset)
            known.update(zip(step.outputs, found, strict=False))
            for name in self._last_use.get(index, ()):
                if name not in self.output_names:
                    known.pop(name, None)
        return {name: known[name] for name in self.output_names}

    def weights(self) -> dict[str, Array]:
        """Every float initializer by its name in the graph, float32."""
        return {name: getattr(self, at).detach().cpu().numpy() for name, at in self._places.items()}

    def trainable(self) -> list[Tensor]:
        """Weights of layers: those of two axes and more. Statistics and biases of normalization stay."""
        return [one for one in self.parameters() if one.dim() > 1]


class _Step:
    """A node, read once."""

    def __init__(self, node: ir.Node) -> None:
        self.kind = node.op_type
        self.inputs = [value.name if value is not None else "" for value in node.inputs]
        self.outputs = [value.name or "" for value in node.outputs]
        self._attributes = _attributes(node)

    def run(self, inputs: Sequence[Tensor | None], opset: int) -> Sequence[Tensor]:
        call = NodeCall(self.kind, inputs, self._attributes, opset, len(self.outputs))
        found = OPERATORS[self.kind](call)
        return found if isinstance(found, tuple) else (found,)


def with_weights(model: ir.Model, weights: Mapping[str, Array]) -> ir.Model:
    """A copy of the graph with other values in the initializers that ``weights`` names, in their own element types."""
    changed = model.clone()
    for name, values in weights.items():
        value = changed.graph.initializers[name]
        assert value.const_value is not None, name
        dtype = value.const_value.dtype
        value.const_value = ir.Tensor(np.ascontiguousarray(values.astype(dtype.numpy())), dtype=dtype, name=name)
    return changed


def _attributes(node: ir.Node) -> dict[str, object]:
    values = {name: attribute.value for name, attribute in node.attributes.items()}
    return {name: one.numpy() if isinstance(one, ir.TensorProtocol) else one for name, one in values.items()}


def _last_uses(steps: Sequence[_Step]) -> dict[int, list[str]]:
    """Which values nobody needs after each node, so that a long graph holds few of them."""
    last = {name: index for index, step in enumerate(steps) for name in step.inputs if name}
    found: dict[int, list[str]] = {}
    for name, index in last.items():
        found.setdefault(index, []).append(name)
    return found


def _refuse(model: ir.Model) -> None:
    found = unconverted_nodes(model)
    if not found:
        return
    named = "; ".join(f"{one.name!r} ({one.kind}): {one.reason}" for one in found[:MOST_NAMED])
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(one.kind for one in found).items())
    raise CapabilityError(
        f"training: {len(found)} nodes of the tail cannot be converted to torch ({kinds}): {named}; choose a cut "
        "behind them, or leave [recovery] out."
    )
