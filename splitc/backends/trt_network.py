"""ONNX to a TensorRT plan through TensorRT's own Python API, one code path from 8.6 to 11.

Versions are told apart by the attributes they have, never by the numbers behind them, which move: 8.6 has no strong
typing, 10 has it as a flag, 11 has nothing else. This module has never run on hardware: no TensorRT library is at hand
where splitc is developed. Its calls follow NVIDIA's documented API, and the tests hold it to a recorded protocol.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitc.backends._rtx_build import RefusedError, check_contract, make_logger, parse
from splitc.backends.options import EngineOptions
from splitc.backends.shapes import Profile
from splitc.errors import BackendError, CapabilityError
from splitc.files import read_bounded, sha256_bytes
from splitc.types import TensorSpec

OLDEST = (8, 6)
MAX_TIMING_CACHE_BYTES = 512 << 20
Progress = Callable[[str, float | None], None]
"""Called with the name of the phase and the share of it that is done, None when that is not known."""


@dataclass(frozen=True)
class Request:
    """One build.

    Attributes:
        model: The ONNX file; external weights lie beside it.
        profile: Shapes of the dynamic inputs.
        inputs: What the engine must take.
        outputs: What it must give.
        needs: Precisions that weak typing must allow: ``float16``, ``int8``.
        options: Everything else.
    """

    model: Path
    profile: Profile
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    needs: frozenset[str] = frozenset()
    options: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class SerializedEngine:
    """A serialized engine, and the tactics that were timed for it."""

    data: bytes
    timing_cache: bytes


def load_tensorrt() -> Any:
    """The installed ``tensorrt`` module.

    Raises:
        CapabilityError: None, a broken one, or one before 8.6.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:  # a library of it that is missing raises OSError
        raise CapabilityError(
            f"tensorrt cannot be loaded ({error}); it comes with JetPack, or with NVIDIA's packages for a server."
        ) from error
    if version_of(trt)[:2] < OLDEST:
        raise CapabilityError(f"TensorRT {trt.__version__} is installed; splitc builds with 8.6 and later.")
    return trt


def version_of(trt: Any) -> tuple[int, ...]:
    """``(10, 3, 0)``"""
    return tuple(int(part) for part in trt.__version__.split(".")[:3])


def build_plan(trt: Any, request: Request, progress: Progress = lambda phase, share: None) -> SerializedEngine:
    """Parse, configure, build.

    Args:
        trt: The module: :func:`load_tensorrt`.
        request: What to build.
        progress: Called with every phase and its share done.

    Raises:
        BackendError: TensorRT refuses the model; the message names the node.
        CapabilityError: This TensorRT lacks an option that is asked for.
    """
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    try:
        progress("parse", None)
        parse(trt, network, logger, str(request.model))
        check_contract(network, _contract(request))
        config = _config(trt, builder, request)
        _watch(trt, config, progress)
        progress("build", None)
        data = builder.build_serialized_network(network, config)
        if data is None:
            raise RefusedError(*(logger.errors or ["TensorRT gave no plan and no reason"]))
    except RefusedError as error:
        reasons = "; ".join(str(reason).rstrip(". ") for reason in error.args)
        raise BackendError(f"tensorrt {trt.__version__} refuses {request.model.name}: {reasons}.") from error
    cache = config.get_timing_cache()
    return SerializedEngine(bytes(memoryview(data)), bytes(memoryview(cache.serialize())) if cache is not None else b"")


def _network_flags(trt: Any) -> int:
    """Strong typing where there is a choice; an explicit batch before that; nothing from 11 on."""
    flags = trt.NetworkDefinitionCreationFlag
    for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH"):
        if hasattr(flags, name):
            return 1 << int(getattr(flags, name))
    return 0


def _is_weakly_typed(trt: Any) -> bool:
    return not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") and hasattr(trt.BuilderFlag, "FP16")


def _contract(request: Request) -> dict[str, Any]:
    return {
        "inputs": [spec.model_dump() for spec in request.inputs],
        "outputs": [spec.model_dump() for spec in request.outputs],
    }


def _config(trt: Any, builder: Any, request: Request) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if request.profile:
        profile = builder.create_optimization_profile()
        for name, (least, usual, most) in request.profile.items():
            profile.set_shape(name, least, usual, most)
        config.add_optimization_profile(profile)
    if _is_weakly_typed(trt):
        for precision in sorted(request.needs):
            _set_flag(trt, config, {"float16": "FP16", "int8": "INT8"}[precision], f"{precision} tensors")
    _apply(trt, config, request.options)
    return config


def _apply(trt: Any, config: Any, options: EngineOptions) -> None:
    for option, flags in (
        ("version_compatible", ("VERSION_COMPATIBLE",)),
        ("weight_streaming", ("WEIGHT_STREAMING",)),
        ("strip_weights", ("STRIP_PLAN", "REFIT_IDENTICAL")),  # plain REFIT may drop the bias of a Gemm in 11.3
        ("sparse_weights", ("SPARSE_WEIGHTS",)),
    ):
        for flag in flags if getattr(options, option) else ():
            _set_flag(trt, config, flag, option)
    if options.hardware_compatible:
        levels = _need(trt, "HardwareCompatibilityLevel", "hardware_compatible")
        config.hardware_compatibility_level = _need(levels, "AMPERE_PLUS", "hardware_compatible")
    if options.dla_core is not None:
        config.default_device_type = _need(_need(trt, "DeviceType", "dla_core"), "DLA", "dla_core")
        config.DLA_core = options.dla_core
        _set_flag(trt, config, "GPU_FALLBACK", "dla_core")
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.timing_cache is not None:
        _pin_timings(trt, config, options)
    else:
        config.set_timing_cache(config.create_timing_cache(b""), False)  # without one TensorRT keeps no tactics


def _pin_timings(trt: Any, config: Any, options: EngineOptions) -> None:
    """Only tactics of the cache may be used: equal caches then give equal engines."""
    path = Path(str(options.timing_cache))
    data = read_bounded(path, MAX_TIMING_CACHE_BYTES, refusal=BackendError) if path.is_file() else b""
    if sha256_bytes(data) != options.timing_cache_sha256:
        raise BackendError(f"timing_cache {options.timing_cache!r}: is not the file that timing_cache_sha256 pins.")
    if not config.set_timing_cache(config.create_timing_cache(data), False):
        raise BackendError(
            f"timing_cache {options.timing_cache!r}: was measured with another GPU or TensorRT; leave it out once."
        )
    _set_flag(trt, config, "ERROR_ON_TIMING_CACHE_MISS", "timing_cache")


def _set_flag(trt: Any, config: Any, flag: str, option: str) -> None:
    config.set_flag(_need(_need(trt, "BuilderFlag", option), flag, option))


def _need(owner: Any, name: str, option: str) -> Any:
    if not hasattr(owner, name):
        raise CapabilityError(f"option {option}: the installed TensorRT has no {name}; leave the option out.")
    return getattr(owner, name)


def _watch(trt: Any, config: Any, progress: Progress) -> None:
    """Hear of the builder's phases where this TensorRT tells them, from 9 on."""
    if not hasattr(trt, "IProgressMonitor"):
        return

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Passes the outermost phase on."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.steps[phase_name] = num_steps
                progress(phase_name, 0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if self.steps.get(phase_name):
                progress(phase_name, min((step + 1) / self.steps[phase_name], 1.0))
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            if phase_name in self.steps:
                progress(phase_name, 1.0)

    config.progress_monitor = Monitor()
