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


@dataclass(frozen=True)
class RaiseOpset:
    """Convert a model below opset 13, with ONNX's own converter; a newer one passes as it is.

    1. Only the default operator set changes.
    2. The answers stay those of the source model; a build verifies that on real samples.
    3. A model with operators that the converter does not know is refused.
    """

    name: ClassVar[str] = "raise_opset"

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: the converter gives up, or the model is too large for one protobuf."""
        version = model.opset_imports.get("", MIN_OPSET)
        if version >= MIN_OPSET:
            return PassResult(model, False)
        proto = onnx.load_from_string(graph.to_bytes(model))
        try:
            raised = onnx.version_converter.convert_version(proto, MIN_OPSET)
        except Exception as error:  # the converter raises a bare RuntimeError, and more than that
            why = (str(error).strip().splitlines() or ["no reason given"])[-1]
            raise GraphError(
                f"the model imports opset {version}, the codec needs {MIN_OPSET}, and converting it failed ({why}); "
                f"export it again with opset {MIN_OPSET} or newer."
            ) from error
        return PassResult(ir.from_proto(raised), True, (f"converted from opset {version} to {MIN_OPSET}",))
