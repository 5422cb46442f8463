"""The backend that does nothing, so that everything around a backend can be tested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from splitc.backends.base import Availability, Backend, EngineRecord, Runner, record_for
from splitc.backends.interface import model_digests, read_interface
from splitc.backends.runner import CheckedRunner
from splitc.backends.target import EngineTarget
from splitc.types import Array, Feeds, TensorSpec


class Null(Backend):
    """Writes no file (the model is the engine) and answers zeros of the right shapes."""

    name: ClassVar[str] = "null"
    can_run: ClassVar[bool] = True

    def probe(self) -> Availability:
        return Availability(ok=True, detail="answers zeros; for tests")

    def build(self, model_path: Path, target: EngineTarget, out_dir: Path) -> EngineRecord:
        interface = read_interface(model_path)
        return record_for(
            self,
            target,
            "built",
            path=target.in_bundle(model_path.name),
            sha256=model_digests(model_path, interface)[model_path.name],
            engine_bytes=model_path.stat().st_size,
            inputs=interface.inputs,
            outputs=interface.outputs,
        )

    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        return NullRunner(model_path.name, read_interface(model_path))


class NullRunner(CheckedRunner):
    """Zeros; a dynamic dimension takes its size from the inputs, or 1 where they do not name it."""

    def _compute(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Array]:
        return {spec.name: _zeros(spec, sizes) for spec in self.outputs}

    def _free(self) -> None: ...


def _zeros(spec: TensorSpec, sizes: Mapping[str, int]) -> Array:
    shape = [dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in spec.shape]
    return np.zeros(shape, dtype=spec.dtype)
