"""Bring a model to the first opset that the codec inside a graph is written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx
import onnx.version_converter
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.base import PassResult
from splitc.passes.insert_codec import MIN_OPSET

RESIZE_HAS_MODES = 11
"""First opset in which Resize says where it reads, in attributes whose defaults are not what it did before."""


@dataclass(frozen=True)
class RaiseOpset:
    """Convert a model below opset 13, with ONNX's own converter; a newer one passes as it is.

    1. Only the default operator set changes.
    2. The answers stay those of the source model; a build verifies that on real samples.
    3. Branches and loop bodies are converted too; one that returns a value of the graph around it gets the Identity
       that the converter needs.
    4. Resize of opset 10 puts pixels elsewhere than the default of later ones; what the converter leaves out of that
       is spelled, and outputs of Upsample keep the names that the converter takes from them.
    5. A model with operators that the converter does not know is refused.
    """

    name: ClassVar[str] = "raise_opset"

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: the converter gives up, or the model is too large for one protobuf."""
        version = model.opset_imports.get("", MIN_OPSET)
        if version >= MIN_OPSET:
            return PassResult(model, False)
        proto = onnx.load_from_string(graph.to_bytes(_with_own_outputs(model)))
        try:
            raised = onnx.version_converter.convert_version(proto, MIN_OPSET)
        except Exception as error:  # the converter raises a bare RuntimeError, and more than that
            why = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise GraphError(
                f"the model imports opset {version}, the codec needs {MIN_OPSET}, and converting it failed ({why}); "
                f"export it again with opset {MIN_OPSET} or newer."
            ) from error
        converted = ir.from_proto(raised)
        if version < RESIZE_HAS_MODES:
            for before, after in zip(_resizing(model), _resizing(converted), strict=True):
                after.outputs[0].name = before.outputs[0].name
                _spell_resize(after)
        return PassResult(converted, True, (f"converted from opset {version} to {MIN_OPSET}",))


def _resizing(model: ir.Model) -> list[ir.Node]:
    """In the order of the graphs, which the converter keeps."""
    nodes = (node for body in model.graphs() for node in body)
    return [node for node in nodes if node.op_type in ("Upsample", "Resize") and node.domain == ""]


def _spell_resize(node: ir.Node) -> None:
    """The places that Resize and Upsample read before they could be told: ``x / scale``, rounded down."""
    for name, value in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
        node.attributes[name] = ir.AttrString(name, value)


def _with_own_outputs(model: ir.Model) -> ir.Model:
    """An Identity in each body for what it returns of the graphs around it; the same model if none does."""
    if not any(_borrowed(body) for body in model.graphs() if body is not model.graph):
        return model
    copy = model.clone()
    names = graph.FreshNames(copy)
    for body in copy.graphs():
        for index in _borrowed(body) if body is not copy.graph else ():
            value = body.outputs[index]
            own = ir.node("Identity", [value])
            own.outputs[0].name = names(f"{value.name}/returned")
            own.outputs[0].type, own.outputs[0].shape = value.type, value.shape
            body.append(own)
            body.outputs[index] = own.outputs[0]
    return copy


def _borrowed(body: ir.Graph) -> list[int]:
    """Positions of outputs that are values of the graphs around the body."""
    own = {*body.inputs, *body.initializers.values(), *(value for node in body for value in node.outputs)}
    return [index for index, value in enumerate(body.outputs) if value not in own]
