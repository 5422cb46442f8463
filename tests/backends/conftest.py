"""Models written where a bundle would have them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnx
import pytest
from backend_models import WriteModel
from onnx import parser


@pytest.fixture
def write_model(tmp_path: Path) -> WriteModel:
    """``write_model(text, name="model.onnx")`` -> ``BUNDLE/edge/NAME``, nodes named after their outputs."""

    def write(text: str, name: str = "model.onnx") -> Path:
        model = parser.parse_model(text)
        for node in model.graph.node:
            node.name = f"node_of_{node.output[0]}"
        path = tmp_path / "bundle" / "edge" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save_model(model, path)
        return path

    return write


@pytest.fixture
def needs_rtx() -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("the trt-rtx extra is not installed")
