"""A profile of ONNX Runtime on this machine: every layer has its time and its place in the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper, save

from splitc import graph
from splitc.errors import BackendError, UsageError
from splitc.records import Effort, profile_onnxruntime

FEEDS = [{"x": np.ones((1, 8, 16, 16), np.float32)}]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Convolution, activation, pooling: nodes without names, which ONNX Runtime fuses and reorders."""
    weights = numpy_helper.from_array(np.full((16, 8, 3, 3), 0.1, np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, 1, dims) for name, dims in (("x", [1, 8, 16, 16]), ("y", [1, 16]))]
    path = tmp_path / "toy.onnx"
    whole = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
    save(helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_each_layer_is_traced_to_a_value(model: Path) -> None:
    steps = []
    found = profile_onnxruntime(model, FEEDS, Effort(threads=1, warmup=1, samples=3), lambda: steps.append(1))
    assert (found.device, found.backend, found.side, found.threads) == ("cpu", "onnxruntime", "whole", 1)
    assert found.model_sha256 == graph.load(model).sha256
    assert (found.warmup, found.samples, len(steps)) == (1, 3, 2 * 4)
    values = {value for layer in found.layers for value in layer.values}
    assert values <= {"a", "b", "c", "y"}
    assert values >= {"c", "y"}
    assert values & {"a", "b"}
    assert found.latency_ms.min > 0


def test_feeds_that_do_not_fit(model: Path) -> None:
    with pytest.raises(BackendError, match="onnxruntime failed while running"):
        profile_onnxruntime(model, [{"x": np.ones((1, 3, 4, 4), np.float32)}])


def test_cpu_time_is_of_one_thread(model: Path) -> None:
    found = profile_onnxruntime(model, FEEDS, Effort(warmup=1, samples=3, clock="cpu"))
    assert found.environment["clock"] == "cpu"
    with pytest.raises(UsageError, match="CPU time is that of one thread, and 2 are asked for"):
        profile_onnxruntime(model, FEEDS, Effort(threads=2, clock="cpu"))
