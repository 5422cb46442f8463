"""No step on the weights claims time that its target cannot give."""

from __future__ import annotations

import pytest

from splitc.device import load_device
from splitc.lowering.time_claims import ComputeTarget, of_precision, of_sparse_runs, of_unstructured


def target(name: str, backend: str = "tensorrt", *, is_sparse: bool = True) -> ComputeTarget:
    return ComputeTarget("edge", load_device(name), backend, is_sparse)


@pytest.mark.parametrize("name", ["cpu", "t4", "l4", "jetson-orin-nano"])
def test_zeros_and_shared_values_change_no_time(name: str) -> None:
    assert of_unstructured(target(name)).startswith(f"unchanged on {name} with tensorrt")


@pytest.mark.parametrize(
    ("asked", "claim"),
    [
        (target("cpu", "onnxruntime"), "unchanged on cpu with onnxruntime: onnxruntime multiplies zeros"),
        (target("l4", "onnxruntime"), "unchanged on l4"),
        (target("t4"), "unchanged on t4 with tensorrt: sparse tensor cores begin with compute capability 8.0"),
        (target("l4", is_sparse=False), "unchanged on l4 with tensorrt unless target.edge.options.sparse_weights is"),
        (target("l4"), "perhaps less on l4 with tensorrt, where the engine picks sparse kernels"),
    ],
)
def test_runs_need_a_gpu_a_backend_and_an_option(asked: ComputeTarget, claim: str) -> None:
    assert of_sparse_runs(asked).startswith(claim)


def test_precision_is_bounded_by_the_peaks() -> None:
    assert of_precision(target("cpu", "onnxruntime"), "int8").startswith("at most 4.4x less on cpu with onnxruntime")
    assert of_precision(target("cpu", "onnxruntime"), "fp16").startswith("not known on cpu with onnxruntime")
