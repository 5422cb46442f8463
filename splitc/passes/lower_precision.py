"""Let a half compute in INT8 or FP16: types are explicit in the graph, so that all engines agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.base import Pass, PassResult
from splitc.passes.quantize_static import QuantizeStatic
from splitc.types import Feeds


@dataclass(frozen=True)
class ToFloat16:
    """FP16 weights and arithmetic between float32 inputs and outputs.

    1. Inputs, outputs and their names stay float32, with a Cast behind and before them.
    2. Operators that lose too much in FP16 stay in float32: the converter's own list.
    """

    name: ClassVar[str] = "to_float16"

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: the converter cannot convert the graph."""
        from onnxruntime.transformers.float16 import convert_float_to_float16

        proto = onnx.load_from_string(graph.to_bytes(model))
        try:
            half = convert_float_to_float16(proto, keep_io_types=True, disable_shape_infer=True)
        except Exception as error:  # the converter raises whatever its parts raise
            raise GraphError(f"FP16: the converter refuses this half ({error}); use precision fp32.") from error
        lowered = ir.from_proto(half)
        lowered.graph.sort()
        graph.verify(lowered, f"the model after {self.name}")
        return PassResult(lowered, True, ("FP16 weights and arithmetic",))


def _nothing() -> None:
    """Ignores a step."""


def _int8(feeds: Sequence[Feeds], step: Callable[[], None] = _nothing) -> QuantizeStatic:
    return QuantizeStatic(feeds, step=step)


def _fp16(feeds: Sequence[Feeds], step: Callable[[], None] = _nothing) -> ToFloat16:
    return ToFloat16()


LOWER: dict[str, Callable[..., Pass]] = {"int8": _int8, "fp16": _fp16}
"""Precision -> the pass, given samples of what the half takes, and what to call at every step."""
