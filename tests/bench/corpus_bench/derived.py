"""Variants of a real network that ONNX Runtime's own tools make: QOperator, Q/DQ, FP16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from bench_data import DATA

CALIBRATION = 8
"""Random pictures that ranges come from."""


def derive(kind: str, path: Path) -> None:
    """Write the variant of ResNet-20 that ``kind`` names: ``resnet20-qoperator``, ``-qdq`` or ``-fp16``."""
    source = DATA / "models/resnet20_cifar10.onnx"
    if kind == "resnet20-fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(source)), path)
        return
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        """Seeded noise."""

        def __init__(self) -> None:
            self.left = _pictures(source)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    form = QuantFormat.QOperator if kind == "resnet20-qoperator" else QuantFormat.QDQ
    quantize_static(source, path, Pictures(), quant_format=form)


def _pictures(source: Path) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    (name,) = (value.name for value in onnx.load(source).graph.input)
    for _ in range(CALIBRATION):
        yield {name: rng.standard_normal((1, 3, 32, 32)).astype(np.float32)}
