"""Run a TensorRT engine through Polygraphy, which bridges the versions of the runtime API from 8.6 to 11.

Never run on hardware: no GPU was at hand. The tests hold it to a recorded protocol of Polygraphy's documented API.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitc.backends.gpu import elapsed_ms
from splitc.backends.interface import Interface
from splitc.backends.runner import CheckedRunner
from splitc.errors import BackendError, CapabilityError
from splitc.types import Array, Feeds


class EngineRunner(CheckedRunner):
    """One engine on this machine's GPU. ``run`` copies in, computes, copies out and waits for the end."""

    def __init__(self, engine: Path, interface: Interface) -> None:
        """Raises: CapabilityError: Polygraphy or TensorRT is missing. BackendError: the engine does not load."""
        super().__init__(engine.name, interface)
        common, trt = _load("polygraphy.backend.common"), _load("polygraphy.backend.trt")
        self._runner: Any = trt.TrtRunner(trt.EngineFromBytes(common.BytesFromPath(str(engine))))
        self._layers: dict[str, float] | None = None
        self._guarded("does not load", self._runner.activate)

    def device_ms(self, feeds: Feeds) -> float:
        """Milliseconds of the device alone: inputs lie in its memory already, and outputs stay there."""
        self.run(feeds)  # afterwards the context has the addresses and shapes of these inputs
        return elapsed_ms(self._runner.stream.ptr, self._execute)

    def layer_ms(self, feeds: Feeds) -> dict[str, float]:
        """Milliseconds by layer, as TensorRT reports them. From the first call on every run is slower."""
        seen = self._profiled()
        self.run(feeds)
        seen.clear()
        self._execute()
        self._runner.stream.synchronize()
        return dict(seen)

    def _compute(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Array]:
        contiguous = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        outputs = self._guarded("failed while running", lambda: self._runner.infer(contiguous))
        return {spec.name: np.array(outputs[spec.name]) for spec in self.outputs}  # Polygraphy reuses its buffers

    def _free(self) -> None:
        self._runner.deactivate()

    def _execute(self) -> None:
        """Once more what ``infer`` has set up."""
        context, stream = self._runner.context, self._runner.stream.ptr
        if not self._guarded("failed while running", lambda: context.execute_async_v3(stream)):
            raise BackendError(f"{self.name}: failed while running: TensorRT gave no reason.")

    def _profiled(self) -> dict[str, float]:
        """What TensorRT's profiler reports into, once it is attached."""
        if self._layers is None:
            self._layers = {}
            self._runner.context.profiler = _profiler(self._layers)
        return self._layers

    def _guarded(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # Polygraphy raises its own and TensorRT's, which share no base
            raise BackendError(f"{self.name}: {what}: {' '.join(str(error).split())[:400]}.") from error


def _profiler(seen: dict[str, float]) -> Any:
    base: Any = _load("tensorrt").IProfiler

    class Profiler(base):  # type: ignore[misc]  # the base is known on the device only
        """Hears of every layer of a run; two of one name add up."""

        def __init__(self) -> None:
            base.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            seen[layer_name] = seen.get(layer_name, 0.0) + ms

    return Profiler()


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CapabilityError(f"running an engine needs {error.name!r}: pip install 'splitc[trt]'.") from error
