"""The table of rules. Measured means: seen with TensorRT-RTX 1.7 without a GPU; the rest is NVIDIA's documentation."""

from __future__ import annotations

from splitc.lint import dla, operators, types
from splitc.lint.rule import LintRule
from splitc.lint.target import LintTarget


def _everywhere(target: LintTarget) -> bool:
    return True


def _rtx(target: LintTarget) -> bool:
    return target.is_rtx


def _before_10(target: LintTarget) -> bool:
    return target.is_before(10, 0)


def _tensorrt_from_10(target: LintTarget) -> bool:
    return not target.is_rtx and target.line >= (10, 0)


def _turing(target: LintTarget) -> bool:
    return target.is_rtx and types.TURING_SM in target.capabilities


def _dla(target: LintTarget) -> bool:
    return target.uses_dla


def _has_dla(target: LintTarget) -> bool:
    return target.uses_dla and not dla.why_absent(target)


_MEASURED = "measured, TensorRT-RTX 1.7"
_OPERATORS = "onnx-tensorrt, docs/operators.md"
_DLA_LAYERS = "NVIDIA, DLA Supported Layers and Restrictions"

RULES = (
    LintRule(
        "uint8-inside",
        "refused",
        _everywhere,
        types.uint8_inside,
        "TensorRT takes UINT8 only as an input that Cast reads, or as an output that Cast writes.",
        "Do the work in float or INT32 and cast last on the edge, first in the cloud.",
        f"{_MEASURED}; NVIDIA/TensorRT issues 3985 and 4278",
    ),
    LintRule(
        "uint8-quantization",
        "refused",
        _everywhere,
        operators.uint8_quantization,
        "TensorRT quantizes to INT8: a UINT8 QuantizeLinear silently becomes INT8, a UINT8 DequantizeLinear fails.",
        "Quantize with INT8 and zero point 0, or write Mul, Round, Clip and Cast.",
        _MEASURED,
    ),
    LintRule(
        "zero-point",
        "refused",
        _everywhere,
        operators.zero_point,
        "Quantization is symmetric: a zero point must be 0.",
        "Calibrate with ActivationSymmetric and WeightSymmetric, or write Mul, Add, Round, Clip and Cast.",
        f"{_MEASURED}; {_OPERATORS}",
    ),
    LintRule(
        "int32-dequantize",
        "refused",
        _everywhere,
        operators.int32_dequantize,
        "DequantizeLinear takes INT8, INT4 or FP8.",
        "Keep biases in float: QuantizeBias = False.",
        _MEASURED,
    ),
    LintRule(
        "quantized-twice",
        "changed",
        _everywhere,
        operators.quantized_twice,
        "Two quantizers in a row round twice, and the second cannot be fused.",
        "Leave Q and DQ out in front of the cut: the codec quantizes the feature.",
        "NVIDIA, Working with Quantized Types: Q/DQ placement",
    ),
    LintRule(
        "nms",
        "refused",
        _rtx,
        operators.nms,
        "TensorRT-RTX parses NonMaxSuppression and then has no runner for it.",
        "Keep it outside the engine, or use TopK and Gather.",
        _MEASURED,
    ),
    LintRule(
        "missing-operator",
        "refused",
        _everywhere,
        operators.missing_operator,
        "The ONNX parser has no importer for this operator.",
        "Write it with arithmetic operators, or keep it outside the engine.",
        f"{_MEASURED}; {_OPERATORS}",
    ),
    LintRule(
        "custom-operator",
        "refused",
        _everywhere,
        operators.custom_operator,
        "An operator of another domain needs a plugin, and splitc ships none; TensorRT-RTX takes none.",
        "Export with standard operators only.",
        f"{_MEASURED}; NVIDIA, TensorRT-RTX documentation: plugins are not supported",
    ),
    LintRule(
        "element-type",
        "refused",
        _everywhere,
        types.foreign_type,
        "TensorRT has no such element type.",
        "Use INT32, or UINT8 at the ports.",
        _MEASURED,
    ),
    LintRule(
        "double-port",
        "changed",
        _everywhere,
        types.double_port,
        "TensorRT silently makes DOUBLE inputs and outputs FLOAT.",
        "Cast to FLOAT in the caller and declare FLOAT.",
        _MEASURED,
    ),
    LintRule(
        "int64",
        "changed",
        _before_10,
        types.wide_int64,
        "TensorRT before 10 narrows INT64 to INT32 and clamps what does not fit.",
        "Use INT32 at the ports, or TensorRT 10.",
        _OPERATORS,
    ),
    LintRule(
        "fp8",
        "refused",
        _everywhere,
        types.fp8,
        "FP8 needs SM89 or later; Orin is SM87.",
        "Use INT8 Q/DQ for this target.",
        f"{_MEASURED}, SM80 and SM86; NVIDIA, Jetson Orin: no FP8",
    ),
    LintRule(
        "fp4",
        "refused",
        _everywhere,
        types.fp4,
        "FP4 needs TensorRT 10.8 or later and SM100 or later; Orin is SM87.",
        "Use INT8 Q/DQ or INT4 weights for this target.",
        "NVIDIA, TensorRT 10.8 release notes and support matrix",
    ),
    LintRule(
        "int4",
        "refused",
        _before_10,
        types.int4,
        "INT4 weights came with TensorRT 10.",
        "Use INT8 weights for this target.",
        "NVIDIA, TensorRT 10 release notes",
    ),
    LintRule(
        "bf16",
        "refused",
        _everywhere,
        types.bf16,
        "BF16 needs TensorRT 9 or later and SM80 or later.",
        "Use FP16 for this target.",
        "NVIDIA, TensorRT support matrix",
    ),
    LintRule(
        "int8-cast",
        "refused",
        _tensorrt_from_10,
        types.int8_cast,
        "TensorRT takes INT8 as a quantized type: Cast does not list it.",
        "Use UINT8 with Cast at the ports, or QuantizeLinear and DequantizeLinear.",
        _OPERATORS,
    ),
    LintRule(
        "turing-fp32",
        "refused",
        _turing,
        types.turing_fp32,
        "TensorRT-RTX compiles no FP32 matrix product and no FP32 3-D convolution for SM75.",
        "Convert the model to FP16, or leave SM75 out.",
        _MEASURED,
    ),
    LintRule(
        "too-many-dims",
        "refused",
        _everywhere,
        operators.too_many_dims,
        "A tensor has at most 8 dimensions.",
        "Reshape in two steps.",
        _MEASURED,
    ),
    LintRule(
        "input-is-output",
        "changed",
        _everywhere,
        operators.input_is_output,
        "TensorRT renames an input that is an output too.",
        "Put an Identity on a float copy of it, or take it from the caller.",
        _MEASURED,
    ),
    LintRule(
        "uncovered-dimension",
        "refused",
        _everywhere,
        operators.uncovered_dimension,
        "An engine needs the least, usual and largest size of every dynamic dimension.",
        "Name it in [model] shapes and bound it in [model] dims.",
        _MEASURED,
    ),
    LintRule(
        "dla-absent",
        "refused",
        _dla,
        dla.absent,
        "Thor and Orin Nano have no DLA; TensorRT has it up to 10.7 and from 11.4 on.",
        "Build for the GPU.",
        "NVIDIA, TensorRT release notes and support matrix",
    ),
    LintRule(
        "dla-operator",
        "falls_back",
        _has_dla,
        dla.operator,
        "This layer runs on the GPU, and its inputs and outputs travel there and back.",
        "Cut before it, or accept the fallback.",
        _DLA_LAYERS,
    ),
    LintRule(
        "dla-dynamic",
        "refused",
        _has_dla,
        dla.dynamic,
        "The DLA takes fixed shapes only.",
        "Fix the dimension: min = opt = max in [model] dims.",
        _DLA_LAYERS,
    ),
    LintRule(
        "dla-size",
        "refused",
        _has_dla,
        dla.size,
        "The DLA takes batches up to 4096 and other dimensions up to 8192.",
        "Use a smaller batch or picture.",
        _DLA_LAYERS,
    ),
    LintRule(
        "dla-precision",
        "falls_back",
        _has_dla,
        dla.precision,
        "The DLA computes in FP16 and INT8.",
        "Convert this half to FP16 or INT8 Q/DQ.",
        _DLA_LAYERS,
    ),
)
