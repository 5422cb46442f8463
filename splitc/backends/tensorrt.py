"""TensorRT on Jetson and in the data center: engines are built where they run, from the script in the bundle.

There is no cross build: an engine belongs to one platform, one GPU and one TensorRT version, so what a bundle carries
is the typed ONNX, the exact command and a cache key.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import ClassVar

from splitc.backends.base import Availability, Backend, EngineRecord, Runner, Target, record_for
from splitc.backends.interface import model_digests, read_interface
from splitc.backends.script import script_path, trtexec_recipe, write_script
from splitc.backends.shapes import profile_from_target
from splitc.errors import BackendError, CapabilityError

_HOW_TO_GET = "run engines/TARGET/build.sh on the device; TensorRT comes with JetPack or NVIDIA's packages"


class TensorRT(Backend):
    """Writes build.sh; this version of splitc does not build or run TensorRT engines itself."""

    name: ClassVar[str] = "tensorrt"
    is_for_gpu: ClassVar[bool] = True

    def probe(self) -> Availability:
        found = importlib.util.find_spec("tensorrt") is not None
        here = "tensorrt is installed here" if found else "no tensorrt here"
        detail = f"{here}; engines are built on their device by the bundle's build.sh"
        return Availability(ok=False, detail=detail, how_to_get=_HOW_TO_GET)

    def build(self, model_path: Path, target: Target, out_dir: Path) -> EngineRecord:
        check_gpu_target(self, target)
        return deferred_to_trtexec(self, model_path, target, out_dir, self._reason(target))

    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        raise CapabilityError(
            f"backend 'tensorrt' does not run {model_path.name} in this version; use backend = \"onnxruntime\"."
        )

    def _reason(self, target: Target) -> str:
        if importlib.util.find_spec("tensorrt") is not None:
            reason = "building in place with the installed tensorrt is not in this version"
        else:
            reason = f"a TensorRT engine is built on its own device, and this is not {target.device}"
        known = "" if target.tensorrt else " The command is for TensorRT 10; on 11 leave out --stronglyTyped."
        return f"{reason}; run build.sh there.{known}"


def deferred_to_trtexec(backend: Backend, model_path: Path, target: Target, out_dir: Path, reason: str) -> EngineRecord:
    """Write build.sh with the trtexec command and say why the engine waits.

    Raises:
        BackendError: The model cannot be read, a dynamic dimension has no bounds, or the device's TensorRT is too old.
    """
    _check_line(target)
    interface = read_interface(model_path)
    profile = profile_from_target(interface, target)
    digests = model_digests(model_path, interface)
    recipe = trtexec_recipe(backend.name, target, model_path.name, digests, profile)
    write_script(out_dir, target, recipe.script)
    return record_for(
        backend,
        target,
        "deferred",
        reason=reason,
        command=recipe.command,
        script=script_path(target),
        cache_key=recipe.cache_key,
        inputs=interface.inputs,
        outputs=interface.outputs,
    )


def check_gpu_target(backend: Backend, target: Target) -> None:
    """Raise BackendError for a device without an NVIDIA GPU."""
    if not target.compute_capabilities:
        raise BackendError(
            f"target {target.device!r} has no compute capability, and backend {backend.name!r} builds for NVIDIA GPUs; "
            'use backend = "onnxruntime" there.'
        )


def _check_line(target: Target) -> None:
    if target.tensorrt is not None and not _is_strongly_typed(target.tensorrt):
        raise BackendError(
            f"target {target.device!r} has TensorRT {target.tensorrt}; splitc needs strongly typed networks, "
            "which come with 10 (JetPack 6.1 or later on a Jetson Orin)."
        )


def _is_strongly_typed(line: str) -> bool:
    major = line.split(".")[0]
    return major.isdigit() and int(major) >= 10
