"""ONNX Runtime as a simplifier: it precomputes what depends on no input and leaves every other operator unchanged.

Its basic level removes what does nothing and folds constants and shape arithmetic, within the standard operators. The
fusions of the same level that would round differently (a batch normalization into a convolution) are switched off, so
the answers keep their bits.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from splitc.errors import BackendError

FUSIONS = (
    "ConvBNFusion",
    "ConvMulFusion",
    "ConvAddFusion",
    "ConvActivationFusion",
    "MatMulAddFusion",
    "MatMulBNFusion",
    "GemmActivationFusion",
    "GemmSumFusion",
    "PadFusion",
    "ReluClipFusion",
)


def fold_constants(source: Path, out: Path) -> None:
    """Write the model ``source`` with everything computed that can be; CPU, a second or so.

    Raises:
        BackendError: ONNX Runtime cannot load the model.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 4  # errors reach the user as one BackendError
    try:
        ort.InferenceSession(
            str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(FUSIONS)
        )
    except Exception as error:  # ORT's exceptions share no base but Exception
        text = " ".join(str(error).split())
        raise BackendError(f"the model cannot be simplified, onnxruntime refuses it: {text[:200]}") from error
