"""ONNX Runtime: runs everywhere, needs no engine file; the model is the engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import onnxruntime as ort
from pydantic import Field

from splitc.backends.base import Availability, Backend, EngineRecord, Runner, record_for, write_build_json
from splitc.backends.interface import Interface, harmful_passes, interface_of, model_digests, read_interface
from splitc.backends.runner import CheckedRunner
from splitc.backends.target import EngineTarget
from splitc.errors import BackendError
from splitc.types import Array, Feeds

_FATAL_ONLY = 4  # errors reach the user as one BackendError, not as log lines on stderr
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


class OnnxRuntime(Backend):
    """The default backend: CPU, and CUDA where the installed package has it."""

    name: ClassVar[str] = "onnxruntime"
    can_run: ClassVar[bool] = True

    provider: Literal["auto", "cpu"] = Field(default="auto", description="auto takes CUDA when present; cpu never does")

    def probe(self) -> Availability:
        return Availability(ok=True, detail=f"onnxruntime {ort.__version__}, {' and '.join(self._providers())}")

    def build(self, model_path: Path, target: EngineTarget, out_dir: Path) -> EngineRecord:
        interface = read_interface(model_path)
        versions = {"onnxruntime": ort.__version__}
        try:
            self.open(model_path).close()
        except BackendError as error:
            return record_for(self, target, "failed", reason=str(error), versions=versions)
        digests = model_digests(model_path, interface)
        write_build_json(out_dir, target, self._build_json(target, interface, digests, versions))
        return record_for(
            self,
            target,
            "built",
            path=target.in_bundle(model_path.name),
            sha256=digests[model_path.name],
            engine_bytes=model_path.stat().st_size,
            versions=versions,
            inputs=interface.inputs,
            outputs=interface.outputs,
        )

    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        interface = read_interface(model_path)
        if not _is_utf8(model_path):
            raise BackendError(f"{model_path}: onnxruntime opens no file whose path is not UTF-8; rename the folder.")
        return self._opened(model_path.name, interface, str(model_path), _session_options(threads, optimize))

    def open_bytes(self, name: str, model: bytes, *, threads: int = 1, optimize: bool = True) -> Runner:
        """:meth:`open` of a model in memory that has no external weights; ``name`` is for messages."""
        return self._opened(name, interface_of(model, name), model, _session_options(threads, optimize))

    def _opened(self, name: str, interface: Interface, model: str | bytes, options: ort.SessionOptions) -> Runner:
        try:
            session = ort.InferenceSession(
                model,
                sess_options=options,
                providers=self._providers(),
                disabled_optimizers=harmful_passes(interface),
                enable_fallback=0,  # the fallback prints to stdout
            )
        except Exception as error:  # ORT's exceptions share no base but Exception
            raise BackendError(f"{name}: onnxruntime refuses the model: {_sentence(error)}") from error
        return OnnxRuntimeRunner(name, interface, session)

    def _providers(self) -> list[str]:
        available = ort.get_available_providers()
        return [_CUDA, _CPU] if self.provider == "auto" and _CUDA in available else [_CPU]

    def _build_json(
        self, target: EngineTarget, interface: Interface, digests: dict[str, str], versions: dict[str, str]
    ) -> dict[str, object]:
        return {
            "backend": self.name,
            "target": target.device,
            "sources": {target.in_bundle(name): digest for name, digest in digests.items()},
            "versions": versions,
            "inputs": [spec.model_dump() for spec in interface.inputs],
            "outputs": [spec.model_dump() for spec in interface.outputs],
        }


class OnnxRuntimeRunner(CheckedRunner):
    """One inference session. The same feeds give the same bytes, whatever ran before."""

    def __init__(self, name: str, interface: Interface, session: ort.InferenceSession) -> None:
        super().__init__(name, interface)
        self._session: ort.InferenceSession | None = session

    def _compute(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Array]:
        assert self._session is not None, "only a runner that is open computes"
        names = [spec.name for spec in self.outputs]
        try:
            arrays: list[Array] = self._session.run(names, dict(feeds))
        except Exception as error:  # ORT's exceptions share no base but Exception
            cause = _sentence(error)
            raise BackendError(
                f"{self.name}: onnxruntime failed while running: {cause} {_advice(cause, feeds)}"
            ) from error
        return dict(zip(names, arrays, strict=True))

    def _free(self) -> None:
        self._session = None


def _session_options(threads: int, optimize: bool) -> ort.SessionOptions:
    if threads < 1:
        raise BackendError(f"threads is {threads}; it must be at least 1.")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL_ONLY
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    return options


def _advice(cause: str, feeds: Feeds) -> str:
    """What to do about a run that failed: sizes are to blame only where the toolkit does not lack what is asked."""
    if "Dilation not supported for AutoPadType" in cause:
        return "It lacks this at any size of the inputs: export the layer with explicit pads instead of auto_pad."
    if "not supported" in cause.lower() or "not implemented" in cause.lower():
        return "It lacks what this node asks for: export the model without it."
    given = ", ".join(f"{name!r} {list(array.shape)}" for name, array in feeds.items())
    return (
        f"It was given {given}; if other sizes run, the model takes fewer than its inputs say, or axis 0 of an input "
        "does not count samples: give only those, or export it with samples on axis 0."
    )


def _is_utf8(path: Path) -> bool:
    """Whether a path is text; bytes that are none stand as surrogates."""
    return str(path).isascii() or os.fsencode(path) == str(path).encode("utf-8", "replace")


def _sentence(error: Exception) -> str:
    """ORT's message on one line, without its ``[ONNXRuntimeError] : 10 : INVALID_GRAPH :`` prefix."""
    text = " ".join(str(error).split())
    parts = text.split(" : ", 3)
    message = parts[3] if text.startswith("[ONNXRuntimeError]") and len(parts) == 4 else text
    return message.rstrip(". ") + "."
