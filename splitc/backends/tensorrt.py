"""TensorRT on Jetson and in the data center: engines are built where they run, from the order in the bundle.

There is no cross build: an engine belongs to one platform, one GPU and one TensorRT version, so what a bundle carries
is the typed ONNX, an order for ``splitc engine``, and the equal trtexec command for people without splitc there.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from splitc.backends.base import Availability, Backend, EngineRecord, Runner, TimedRunner, record_for, write_build_json
from splitc.backends.finishing import BuildEnvironment, BuiltPlan, Progress
from splitc.backends.gpu import find_gpu
from splitc.backends.interface import Interface, model_digests, read_interface
from splitc.backends.options import EngineOptions
from splitc.backends.order import Order
from splitc.backends.script import script_path, trtexec_script, write_script
from splitc.backends.shapes import profile_from_target
from splitc.backends.target import EngineTarget
from splitc.backends.trt_network import OLDEST, Request, build_plan, load_tensorrt, version_of
from splitc.backends.trt_run import EngineRunner
from splitc.errors import BackendError, CapabilityError

_HOW_TO_GET = "run splitc engine on the device; TensorRT comes with JetPack or NVIDIA's packages"


class TensorRT(EngineOptions, Backend):
    """Defers every engine to its device, where ``splitc engine`` builds it."""

    name: ClassVar[str] = "tensorrt"
    is_for_gpu: ClassVar[bool] = True

    def probe(self) -> Availability:
        if importlib.util.find_spec("tensorrt") is None:
            return Availability(
                ok=False, detail="no tensorrt here; splitc engine builds on the device", how_to_get=_HOW_TO_GET
            )
        gpu = find_gpu()
        if gpu is None:
            return Availability(ok=False, detail="tensorrt, but no GPU or no driver", how_to_get=_HOW_TO_GET)
        return Availability(ok=True, detail=f"tensorrt on {gpu.name}, SM{gpu.capability}; build with splitc engine")

    def build(self, model_path: Path, target: EngineTarget, out_dir: Path) -> EngineRecord:
        check_gpu_target(self, target)
        reason = f"a TensorRT engine is built on its own device; run splitc engine on {target.device}, or build.sh."
        if target.tensorrt is None:
            reason += " The command is for TensorRT 10; on 11 leave out --stronglyTyped."
        return defer(self, model_path, target, out_dir, reason)

    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        raise CapabilityError(
            f"backend 'tensorrt' runs engines, not {model_path.name}; use backend = \"onnxruntime\" for the model."
        )

    def surroundings(self, order: Order) -> BuildEnvironment:
        trt, gpu = load_tensorrt(), find_gpu()
        if gpu is None:
            raise CapabilityError("no NVIDIA GPU or no driver here; run splitc engine on the device.")
        if gpu.capability not in order.compute_capabilities:
            wanted = ", ".join(f"SM{number}" for number in order.compute_capabilities)
            raise CapabilityError(
                f"{gpu.name} is SM{gpu.capability} and the bundle's {order.side} target {order.target} is {wanted}; "
                "run splitc engine on that device, or build the bundle for this one."
            )
        version = version_of(trt)
        if order.tensorrt is not None and int(order.tensorrt.split(".")[0]) != version[0]:
            raise CapabilityError(
                f"TensorRT {trt.__version__} is installed and the bundle was made for {order.tensorrt}; "
                "build the bundle for a device with this TensorRT."
            )
        parts = {
            "compute_capability": gpu.capability,
            "tensorrt": trt.__version__,
            "driver_cuda_major": gpu.driver_cuda[0],
        }
        return BuildEnvironment(parts, gpu.free_bytes)

    def open_engine(self, engine: Path, order: Order) -> TimedRunner:
        if order.options.strip_weights:
            raise CapabilityError(
                f"{engine.name}: was built without its weights and answers nothing before they are put back, which "
                "splitc does not do; build it again with --set strip_weights=false."
            )
        return EngineRunner(engine, Interface(order.inputs, order.outputs, ()))

    def maker(self, root: Path, order: Order) -> Callable[[Progress], BuiltPlan]:
        def make(progress: Progress) -> BuiltPlan:
            request = Request(
                model=root / order.model,
                profile=dict(order.shapes),
                inputs=order.inputs,
                outputs=order.outputs,
                needs=frozenset(order.needs),
                options=order.options,
            )
            plan = build_plan(load_tensorrt(), request, progress)
            return BuiltPlan(plan.data, plan.timing_cache)

        return make


def defer(backend: Backend, model_path: Path, target: EngineTarget, out_dir: Path, reason: str) -> EngineRecord:
    """Write the order and the equal trtexec command, and say why the engine waits.

    Raises:
        BackendError: The model cannot be read, a dynamic dimension has no bounds, or the device's TensorRT is too old.
    """
    _check_line(target)
    interface = read_interface(model_path)
    profile = profile_from_target(interface, target)
    digests = model_digests(model_path, interface)
    options = backend.options() if isinstance(backend, TensorRT) else EngineOptions()
    needs = _needs(interface)
    recipe = trtexec_script("tensorrt", target, model_path.name, digests, profile, needs, options)
    order = Order(
        backend="tensorrt",
        side=target.side,
        target=target.device,
        compute_capabilities=target.compute_capabilities,
        tensorrt=target.tensorrt,
        model=target.in_bundle(model_path.name),
        sources={target.in_bundle(name): digest for name, digest in digests.items()},
        shapes=profile,
        needs=needs,
        options=options.portable(),
        inputs=interface.inputs,
        outputs=interface.outputs,
        cache_key=recipe.cache_key,
    )
    write_script(out_dir, target, recipe.script)
    write_build_json(out_dir, target, order.document())
    waiting = {"reason": reason, "command": recipe.command, "script": script_path(target)}
    ports = {"inputs": interface.inputs, "outputs": interface.outputs}
    return record_for(backend, target, "deferred", cache_key=recipe.cache_key, **waiting, **ports)


def check_gpu_target(backend: Backend, target: EngineTarget) -> None:
    """Raise BackendError for a device without an NVIDIA GPU."""
    if not target.compute_capabilities:
        raise BackendError(
            f"target {target.device!r} has no compute capability, and backend {backend.name!r} builds for NVIDIA GPUs; "
            'use backend = "onnxruntime" there.'
        )


def _needs(interface: Interface) -> tuple[str, ...]:
    """What a weakly typed TensorRT must be allowed to use."""
    types = interface.weight_types | {spec.dtype for spec in (*interface.inputs, *interface.outputs)}
    needs = {"float16": "float16" in types, "int8": "QuantizeLinear" in interface.operators}
    return tuple(name for name, is_needed in needs.items() if is_needed)


def _check_line(target: EngineTarget) -> None:
    line = target.tensorrt
    if line is not None and tuple(int(part) for part in line.split(".")[:2]) < OLDEST:
        raise BackendError(
            f"target {target.device!r} has TensorRT {line}; splitc builds for 8.6 and later (JetPack 6.0 on a Jetson)."
        )
