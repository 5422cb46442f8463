"""Run a TensorRT engine through Polygraphy, which bridges the versions of the runtime API from 8.6 to 11.

Never run on hardware: no GPU was at hand. The tests hold it to a recorded protocol of Polygraphy's documented API.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from splitc.backends.feeds import bind_dims
from splitc.backends.interface import Interface
from splitc.errors import BackendError, CapabilityError
from splitc.types import Array, Feeds, TensorSpec


class EngineRunner:
    """One engine on this machine's GPU. ``run`` copies in, computes, copies out and waits for the end."""

    def __init__(self, engine: Path, interface: Interface) -> None:
        """Raises: CapabilityError: Polygraphy or TensorRT is missing. BackendError: the engine does not load."""
        common, trt = _load("polygraphy.backend.common"), _load("polygraphy.backend.trt")
        self._name, self._interface = engine.name, interface
        self._runner: Any = trt.TrtRunner(trt.EngineFromBytes(common.BytesFromPath(str(engine))))
        self._guarded("does not load", self._runner.activate)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._interface.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._interface.outputs

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """All outputs by name, in the order of the model's."""
        if self._runner is None:
            raise BackendError(f"{self._name}: this runner is closed; open the engine again.")
        bind_dims(self.inputs, feeds)
        contiguous = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        outputs = self._guarded("failed while running", lambda: self._runner.infer(contiguous))
        return {spec.name: np.array(outputs[spec.name]) for spec in self.outputs}  # Polygraphy reuses its buffers

    def close(self) -> None:
        """Free the engine and its memory. Twice is fine."""
        if self._runner is not None:
            self._runner.deactivate()
            self._runner = None

    def _guarded(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # Polygraphy raises its own and TensorRT's, which share no base
            raise BackendError(f"{self._name}: {what}: {' '.join(str(error).split())[:400]}.") from error


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CapabilityError(f"running an engine needs {error.name!r}: pip install 'splitc[trt]'.") from error
