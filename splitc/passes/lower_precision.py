"""Let a half compute in INT8 or FP16: types stand in the graph, so that every engine reads the same.

INT8 is ONNX Runtime's static quantization, wrapped: symmetric Q/DQ with zero point 0, weights per channel, biases in
float, which TensorRT 10, 11 and TensorRT-RTX parse. Q/DQ stands before the inputs of convolutions and products only.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import onnx
import onnx_ir as ir

from splitc import graph
from splitc.errors import GraphError
from splitc.passes.base import PassResult
from splitc.types import Array, Feeds

COMPUTES = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose inputs are quantized; the rest stays float and is fused or cheap."""
PERCENTILE = 99.999
"""Range of an activation: what this share of its values does not exceed."""


@dataclass(frozen=True, eq=False)
class QuantizeStatic:
    """INT8 Q/DQ with ranges from samples.

    1. Inputs and weights of convolutions and products are quantized; nothing else is.
    2. What leaves the graph is float and was not dequantized: at the cut the codec quantizes, once.
    3. Names and types of inputs and outputs stay.
    """

    name: ClassVar[str] = "quantize_static"
    feeds: Sequence[Feeds] = field(repr=False)

    def __call__(self, model: ir.Model) -> PassResult:
        """Raises: GraphError: ONNX Runtime cannot quantize the graph, or nothing in it can be quantized."""
        if not any(node.op_type in COMPUTES for node in model.graph):
            return PassResult(model, False, ("nothing to quantize: no convolution and no product",))
        with TemporaryDirectory() as folder, _quiet():
            path = Path(folder)
            graph.save(model, path / "float.onnx")
            try:
                _quantize(path, self.feeds)
            except Exception as error:  # the tools raise whatever their parts raise
                why = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise GraphError(
                    f"INT8: ONNX Runtime cannot quantize this half ({why}); use precision fp32."
                ) from error
            lowered = ir.from_proto(onnx.load(path / "int8.onnx"))
        _keep_ports(model, lowered)
        _forget_tools(lowered)
        graph.verify(lowered, f"the model after {self.name}")
        count = sum(node.op_type == "QuantizeLinear" for node in lowered.graph)
        return PassResult(lowered, True, (f"INT8 Q/DQ: {count} activations quantized on {len(self.feeds)} samples",))


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


def _quantize(folder: Path, feeds: Sequence[Feeds]) -> None:
    """``float.onnx`` to ``int8.onnx``."""
    from onnxruntime import quantization as tools
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc]
        """The samples, once."""

        def __init__(self) -> None:
            self._rest = iter(feeds)

        def get_next(self) -> dict[str, Array] | None:
            one = next(self._rest, None)
            return None if one is None else dict(one)

    quant_pre_process(folder / "float.onnx", folder / "folded.onnx", skip_symbolic_shape=True)
    tools.quantize_static(
        folder / "folded.onnx",
        folder / "int8.onnx",
        Reader(),
        quant_format=tools.QuantFormat.QDQ,
        op_types_to_quantize=list(COMPUTES),
        activation_type=tools.QuantType.QInt8,
        weight_type=tools.QuantType.QInt8,
        per_channel=True,
        calibrate_method=tools.CalibrationMethod.Percentile,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": list(COMPUTES),
            "CalibPercentile": PERCENTILE,
        },
    )


def _keep_ports(before: ir.Model, after: ir.Model) -> None:
    """The tools may write other names for dynamic dimensions; the contract knows the old ones."""
    for old, new in (*zip(before.graph.inputs, after.graph.inputs), *zip(before.graph.outputs, after.graph.outputs)):  # noqa: B905
        if old.name != new.name or old.dtype != new.dtype:
            raise GraphError(f"INT8: quantizing changed {old.name!r} to {new.name!r}; use precision fp32.")
        new.shape = old.shape


def _forget_tools(model: ir.Model) -> None:
    """The tools declare every operator set that they know, and sign what they did."""
    used = {node.domain for node in model.graph.all_nodes()}
    for domain in [domain for domain in model.opset_imports if domain not in used | {""}]:
        del model.opset_imports[domain]
    model.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """The tools print their progress, and log advice about steps that are taken here."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


LOWER: dict[str, Callable[[Sequence[Feeds]], Any]] = {
    "int8": QuantizeStatic,
    "fp16": lambda feeds: ToFloat16(),
}
"""Precision -> the pass, given samples of what the half takes."""
