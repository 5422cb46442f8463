"""Backends: the toolkits that turn one half into something that runs, all with one lifecycle.

    probe() ──► build(model, target, out_dir) ──► EngineRecord      built | deferred | failed
            └─► open(model)  ──► Runner.run(feeds) ... close()       where it can run here

``BACKENDS`` finds them by name and imports them on demand.
"""

from __future__ import annotations

from pathlib import Path

from splitc.backends.base import Availability, Backend, EngineRecord, Runner, Status, TimedRunner
from splitc.backends.finishing import BuildEnvironment, BuiltPlan, Finished, finish, parts_of, why_stale
from splitc.backends.interface import Interface, harmful_passes, model_digests, node_outputs, read_interface
from splitc.backends.order import Order, read_order
from splitc.backends.script import PlanOrder, plan_script
from splitc.backends.shapes import Profile, profile_from_target
from splitc.backends.target import EngineTarget, Side
from splitc.registry import Registry

BACKENDS: Registry[Backend] = Registry(
    "backend",
    {
        "null": "splitc.backends.null:Null",
        "onnxruntime": "splitc.backends.onnxruntime:OnnxRuntime",
        "tensorrt": "splitc.backends.tensorrt:TensorRT",
        "tensorrt_rtx": "splitc.backends.tensorrt_rtx:TensorRTRTX",
    },
    extras={"tensorrt_rtx": "trt-rtx"},
)

__all__ = [
    "BACKENDS",
    "Availability",
    "Backend",
    "BuildEnvironment",
    "BuiltPlan",
    "EngineRecord",
    "EngineTarget",
    "Finished",
    "Interface",
    "Order",
    "PlanOrder",
    "Profile",
    "Runner",
    "Side",
    "Status",
    "TimedRunner",
    "finish",
    "fold_constants",
    "harmful_passes",
    "model_digests",
    "node_outputs",
    "parts_of",
    "plan_script",
    "profile_from_target",
    "read_interface",
    "read_order",
    "why_stale",
]


def fold_constants(source: Path, out: Path) -> None:
    """Write the model ``source`` with everything computed ahead that can be; the answers keep their bits.

    Raises:
        BackendError: ONNX Runtime cannot load the model.
    """
    from splitc.backends import fold  # ONNX Runtime: only machines that compile have it

    fold.fold_constants(source, out)
