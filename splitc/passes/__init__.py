"""Graph to graph, one pass a file; each says what it changed."""

from __future__ import annotations

from splitc.passes.align_outputs import AlignOutputs
from splitc.passes.answer_judge import AnswerJudge
from splitc.passes.base import WHOSE_FAULT, Pass, PassResult, apply, require_sound
from splitc.passes.change_layers import ChangeLayers, Seen, moments_of
from splitc.passes.correct_biases import CorrectBiases
from splitc.passes.equalize import Equalize
from splitc.passes.float16 import ToFloat16, computes_in_float16, first_not_finite, float16_arithmetic
from splitc.passes.initializers import PutWeights, Skeleton, is_skeleton, unpacked_of, weights_of
from splitc.passes.insert_codec import (
    InsertDequantizers,
    InsertQuantizers,
    side_name,
    symbols_name,
    wire_specs,
)
from splitc.passes.insert_preprocess import InsertPreprocess
from splitc.passes.layers import Layer, layers_of, refuse_not_finite
from splitc.passes.lift_layers import LiftLayers, quantized_layers
from splitc.passes.output_layers import layer_names, output_layers
from splitc.passes.prepare import prepare, prepare_steps
from splitc.passes.prune_weights import PruneWeights, count_zeros
from splitc.passes.quantize_static import QuantizeStatic
from splitc.passes.quantize_static import steps_of as quantizing_steps
from splitc.passes.raise_opset import RaiseOpset
from splitc.passes.remove_codec import float_head, float_tail
from splitc.passes.round_to_steps import RoundToSteps
from splitc.passes.round_to_steps import measure as measure_sensitivity
from splitc.passes.share_weights import ShareWeights
from splitc.passes.simplify import Simplify
from splitc.passes.sparse_runs import SparseRuns

__all__ = [
    "WHOSE_FAULT",
    "AlignOutputs",
    "AnswerJudge",
    "ChangeLayers",
    "CorrectBiases",
    "Equalize",
    "InsertDequantizers",
    "InsertPreprocess",
    "InsertQuantizers",
    "Layer",
    "LiftLayers",
    "Pass",
    "PassResult",
    "PruneWeights",
    "PutWeights",
    "QuantizeStatic",
    "RaiseOpset",
    "RoundToSteps",
    "Seen",
    "ShareWeights",
    "Simplify",
    "Skeleton",
    "SparseRuns",
    "ToFloat16",
    "apply",
    "computes_in_float16",
    "count_zeros",
    "first_not_finite",
    "float16_arithmetic",
    "float_head",
    "float_tail",
    "is_skeleton",
    "layer_names",
    "layers_of",
    "measure_sensitivity",
    "moments_of",
    "output_layers",
    "prepare",
    "prepare_steps",
    "quantized_layers",
    "quantizing_steps",
    "refuse_not_finite",
    "require_sound",
    "side_name",
    "symbols_name",
    "unpacked_of",
    "weights_of",
    "wire_specs",
]
