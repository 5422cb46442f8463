"""TensorRT-RTX: engines built ahead of time, without a GPU, for several capabilities in one plan."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, ValidationError

from splitc import files
from splitc.backends import _rtx_build
from splitc.backends._rtx_build import versions
from splitc.backends.base import Availability, Backend, EngineRecord, Runner, Status, record_for, write_build_json
from splitc.backends.finishing import BuildEnvironment, BuiltPlan, Progress
from splitc.backends.interface import Interface, model_digests, read_interface
from splitc.backends.order import Order, built_folder
from splitc.backends.script import BuildScript, engine_path, rtx_script, script_path, write_script
from splitc.backends.shapes import profile_from_target
from splitc.backends.target import EngineTarget
from splitc.backends.tensorrt import check_gpu_target, defer
from splitc.errors import BackendError, CapabilityError
from splitc.types import Frozen

SUPPORTED = (75, 80, 86, 89, 120, 121)
"""The SM numbers that TensorRT-RTX 1.7 compiles for."""
_START = (
    "import sys; sys.path[:] = filter(None, sys.path); import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)
"""Runs one file without the current folder on the path: -m would put it first, and -P is there from 3.11 on."""
_EXTRA = ("onnxruntime_ep_nv_tensorrt_rtx", "tensorrt_rtx_bindings")
_INSTALL = "pip install 'splitc[trt-rtx]'"
_MOST_REASONS = 5


class BuildReply(Frozen):
    """What the build process says; see ``_rtx_build``."""

    ok: bool
    errors: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    plan_bytes: int | None = None


class TensorRTRTX(Backend):
    """Builds plans in a fresh process each, so equal inputs give equal bytes."""

    name: ClassVar[str] = "tensorrt_rtx"
    is_for_gpu: ClassVar[bool] = True

    timeout_s: int = Field(
        default=600, ge=1, le=86400, description="a build that takes longer is stopped and has failed"
    )

    def probe(self) -> Availability:
        missing = [module for module in _EXTRA if importlib.util.find_spec(module) is None]
        if missing:
            return Availability(ok=False, detail=f"needs {' and '.join(missing)}", how_to_get=_INSTALL)
        found = ", ".join(f"{name} {version}" for name, version in versions().items())
        return Availability(ok=True, detail=f"{found}; builds for SM {', '.join(map(str, SUPPORTED))} without a GPU")

    def build(self, model_path: Path, target: EngineTarget, out_dir: Path) -> EngineRecord:
        check_gpu_target(self, target)
        foreign = sorted(set(target.compute_capabilities) - set(SUPPORTED))
        if foreign:
            return defer(self, model_path, target, out_dir, _foreign_reason(target, foreign))
        job = _Job.prepare(self, model_path, target, out_dir)
        return self._built(job) if self.probe().ok else self._deferred(job)

    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        raise CapabilityError(
            f"backend 'tensorrt_rtx' builds engines and does not run {model_path.name} in this version; "
            'use backend = "onnxruntime".'
        )

    def surroundings(self, order: Order) -> BuildEnvironment:
        found = self.probe()
        if not found.ok:
            raise CapabilityError(f"backend 'tensorrt_rtx' {found.detail}: {_INSTALL}.")
        numbers = sorted(set(order.compute_capabilities))
        foreign = [number for number in numbers if number not in SUPPORTED]
        if foreign or not numbers:
            asked, known = ", ".join(map(str, foreign)) or "none", ", ".join(map(str, SUPPORTED))
            raise CapabilityError(
                f"the bundle's {order.side} target {order.target} asks for SM {asked}; TensorRT-RTX builds for {known}."
            )
        return BuildEnvironment({"tensorrt_rtx": versions(), "compute_capabilities": numbers})

    def maker(self, root: Path, order: Order) -> Callable[[Progress], BuiltPlan]:
        request = order.model_dump(mode="json", include={"compute_capabilities", "shapes", "inputs", "outputs"})

        def make(progress: Progress) -> BuiltPlan:
            progress("build", None)
            with files.temporary_folder("engine") as folder:
                plan = folder / "model.engine"
                answer = _ask({**request, "model": str(root / order.model), "plan": str(plan)}, self.timeout_s)
                if not answer.ok:
                    raise BackendError(f"tensorrt_rtx refuses {order.model}: {_sentence(answer.errors)}")
                return BuiltPlan(plan.read_bytes())

        return make

    def _deferred(self, job: _Job) -> EngineRecord:
        write_script(job.out_dir, job.target, job.recipe.script)
        write_build_json(job.out_dir, job.target, job.order(self).document())
        return job.record(
            self,
            "deferred",
            reason=f"the trt-rtx extra is not installed here: {self.probe().detail}",
            command=job.recipe.command,
            script=script_path(job.target),
        )

    def _built(self, job: _Job) -> EngineRecord:
        plan = job.out_dir / job.target.folder / "model.engine"
        plan.parent.mkdir(parents=True, exist_ok=True)
        with files.aside_folder(plan) as folder:
            part = folder / plan.name
            answer = _ask({**job.request, "model": str(job.model_path), "plan": str(part)}, self.timeout_s)
            if answer.ok:
                files.move_into_place(part, plan)
        if not answer.ok:
            for stale in (plan, plan.with_name("build.json")):
                stale.unlink(missing_ok=True)
            reason = f"tensorrt_rtx refuses {job.model_path.name}: {_sentence(answer.errors)}"
            return job.record(self, "failed", reason=reason, versions=answer.versions)
        made = {"sha256": files.sha256_of(plan), "engine_bytes": plan.stat().st_size, "versions": answer.versions}
        write_build_json(job.out_dir, job.target, {**job.build_json(self), **made})
        return job.record(self, "built", path=engine_path(job.target), **made)


@dataclass(frozen=True)
class _Job:
    """Everything that one build needs, worked out once."""

    model_path: Path
    target: EngineTarget
    out_dir: Path
    interface: Interface
    digests: dict[str, str]
    request: dict[str, object]
    recipe: BuildScript

    @classmethod
    def prepare(cls, backend: Backend, model_path: Path, target: EngineTarget, out_dir: Path) -> _Job:
        interface = read_interface(model_path)
        digests = model_digests(model_path, interface)
        request: dict[str, object] = {
            "model": target.in_bundle(model_path.name),
            "plan": f"{built_folder(target)}/model.engine.part",
            "compute_capabilities": sorted(set(target.compute_capabilities)),
            "shapes": profile_from_target(interface, target),
            "inputs": [spec.model_dump() for spec in interface.inputs],
            "outputs": [spec.model_dump() for spec in interface.outputs],
        }
        recipe = rtx_script(backend.name, target, digests, request)
        return cls(model_path, target, out_dir, interface, digests, request, recipe)

    def order(self, backend: Backend) -> Order:
        """For the machine that has the extra."""
        return Order(
            backend=backend.name,
            side=self.target.side,
            target=self.target.device,
            compute_capabilities=tuple(sorted(set(self.target.compute_capabilities))),
            tensorrt=None,
            model=self.target.in_bundle(self.model_path.name),
            sources={self.target.in_bundle(name): digest for name, digest in self.digests.items()},
            shapes=profile_from_target(self.interface, self.target),
            inputs=self.interface.inputs,
            outputs=self.interface.outputs,
            cache_key=self.recipe.cache_key,
        )

    def build_json(self, backend: Backend) -> dict[str, object]:
        sources = {self.target.in_bundle(name): digest for name, digest in self.digests.items()}
        identity = {"backend": backend.name, "target": self.target.device, "cache_key": self.recipe.cache_key}
        return {**self.request, **identity, "plan": engine_path(self.target), "sources": sources}

    def record(self, backend: Backend, status: Status, **details: object) -> EngineRecord:
        interface = {"inputs": self.interface.inputs, "outputs": self.interface.outputs}
        return record_for(backend, self.target, status, cache_key=self.recipe.cache_key, **interface, **details)


def _foreign_reason(target: EngineTarget, foreign: list[int]) -> str:
    numbers = ", ".join(f"SM{number}" for number in foreign)
    known = ", ".join(map(str, SUPPORTED))
    return (
        f"TensorRT-RTX builds for SM {known} and {target.device} is {numbers}; "
        "build.sh makes a TensorRT engine on the device instead."
    )


def _ask(request: dict[str, object], timeout_s: int) -> BuildReply:
    """Run one build process and read its answer; every way it can end becomes an Answer."""
    command = [sys.executable, "-c", _START, _rtx_build.__file__]
    document = json.dumps(request).encode()
    try:
        done = subprocess.run(command, input=document, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return BuildReply(ok=False, errors=(f"no plan after {timeout_s} s; raise timeout_s or simplify the model",))
    try:
        return BuildReply.model_validate_json(done.stdout)
    except ValidationError:
        tail = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        return BuildReply(
            ok=False, errors=(f"the build process ended with status {done.returncode}: {tail or 'no output'}",)
        )


def _sentence(errors: Sequence[str]) -> str:
    shown = "; ".join(error.rstrip(". ") for error in errors[:_MOST_REASONS])
    more = len(errors) - _MOST_REASONS
    return f"{shown}; and {more} more." if more > 0 else f"{shown}."
