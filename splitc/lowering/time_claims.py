"""What a step on the weights may be said to do to the time of an inference, on the target that is built for.

Nothing is measured here, so nothing is promised: zeros without a pattern and shared values change no time anywhere; 2:4
needs a GPU, a backend and an option that use it; lower precision has the device's peak rates as a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from splitc.device import Device, Precision

SPARSE_FROM = 80
"""Compute capability of the first GPUs with sparse tensor cores (Ampere)."""
SPARSE_BACKENDS = ("tensorrt", "tensorrt_rtx")


@dataclass(frozen=True, eq=False)
class ComputeTarget:
    """What a half is built for.

    Attributes:
        side: "edge" or "cloud".
        device: Where it runs.
        backend: What computes it.
        is_sparse: Whether the backend was asked to use 2:4 zeros.
    """

    side: str
    device: Device
    backend: str
    is_sparse: bool

    @property
    def label(self) -> str:
        """As messages name it."""
        return f"{self.device.name} with {self.backend}"


def of_unstructured(target: ComputeTarget) -> str:
    """Of zeros without a pattern, and of values that are shared or rounded."""
    return f"unchanged on {target.label}: it multiplies zeros, and reads shared and rounded values, as all others"


def of_nothing(target: ComputeTarget) -> str:
    """Of a step that found no layer to work on, or of which nothing was kept."""
    return f"unchanged on {target.label}: no layer computes otherwise than before"


def of_sparse_runs(target: ComputeTarget) -> str:
    """Of 2:4 sparsity."""
    capability = target.device.compute_capability
    if target.backend not in SPARSE_BACKENDS:
        return f"unchanged on {target.label}: {target.backend} multiplies zeros as all others"
    if capability is None or capability < SPARSE_FROM:
        return f"unchanged on {target.label}: sparse tensor cores begin with compute capability 8.0"
    if not target.is_sparse:
        return f"unchanged on {target.label} unless target.{target.side}.options.sparse_weights is true"
    return f"perhaps less on {target.label}, where the engine picks sparse kernels; splitc profile measures it"


def of_precision(target: ComputeTarget, precision: Precision) -> str:
    """Of computing in ``precision`` instead of fp32."""
    computed = target.device.arithmetic(precision)
    if computed != precision:
        return (
            f"not known on {target.label}: it computes {precision} in {computed}, and casts; splitc profile measures it"
        )
    full, lower = target.device.peak_tflops.fp32, getattr(target.device.peak_tflops, precision)
    if lower is None or full is None:
        return f"not known on {target.label}: the device has no {precision} rate; splitc profile measures it"
    if lower <= full:
        return f"not less on {target.label}: {precision} is no faster than fp32 there"
    bound = lower / full
    return f"at most {bound:.1f}x less on {target.label}, by its peak rates; splitc profile measures it"
