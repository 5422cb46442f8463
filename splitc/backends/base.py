"""What every backend is: one lifecycle, one target, one record.

Layout inside a bundle, where ``out_dir`` is the folder of one side::

    BUNDLE/edge/                          <- out_dir
           ├── model.onnx                 <- model_path
           └── engines/TARGET/            <- the only place that ``build`` writes
               ├── model.engine, build.json             built
               ├── build.json, build.sh                 deferred: an order, and the equal command
               └── built/                               what build.sh made of it there, never listed

Paths and commands in a record are relative to BUNDLE, so a bundle can be moved.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

from pydantic import Field

from splitc.backends.finishing import BuildEnvironment, BuiltPlan, Progress
from splitc.backends.order import Order
from splitc.backends.target import EngineTarget, Side
from splitc.errors import CapabilityError
from splitc.registry import Component
from splitc.types import Array, Feeds, Frozen, TensorSpec

Status: TypeAlias = Literal["built", "deferred", "failed"]


class EngineRecord(Frozen):
    """What became of one half on one target; goes into the manifest and into ``build --json``."""

    side: Side
    target: str
    backend: str
    status: Status
    path: str | None = Field(default=None, description="the engine, relative to the bundle; None unless built")
    reason: str | None = Field(default=None, description="why it is deferred or failed; None when built")
    command: str | None = Field(default=None, description="finishes a deferred engine; run it in the bundle's folder")
    script: str | None = Field(default=None, description="build.sh, relative to the bundle")
    sha256: str | None = Field(default=None, description="of the engine")
    engine_bytes: int | None = None
    cache_key: str | None = Field(default=None, description="equal keys mean equal inputs to the build")
    versions: dict[str, str] = Field(default_factory=dict)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


class Availability(Frozen):
    """Whether a backend can work here, and how to get what it lacks."""

    ok: bool
    detail: str
    how_to_get: str | None = None


class Runner(Protocol):
    """A half that runs in this process."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """All outputs by name, in the order of ``outputs``.

        Raises:
            BackendError: ``feeds`` do not fit ``inputs``, or the toolkit failed.
        """
        ...

    def close(self) -> None:
        """Free what the runner holds; ``run`` afterwards is an error. May be called more than once."""
        ...


class TimedRunner(Runner, Protocol):
    """An engine on a device of its own, which tells its time apart from the host's."""

    def device_ms(self, feeds: Feeds) -> float:
        """Milliseconds of the device for one inference, without copies."""
        ...

    def layer_ms(self, feeds: Feeds) -> dict[str, float]:
        """Milliseconds by layer of one inference; timing them takes time itself."""
        ...


class Backend(Component, ABC):
    """One toolkit. Its fields are the recipe's options; it holds no state."""

    is_for_gpu: ClassVar[bool] = False
    """Builds for the CUDA compute capabilities of its target."""
    can_run: ClassVar[bool] = False

    @abstractmethod
    def probe(self) -> Availability:
        """Look at this machine; never raises, loads nothing heavy."""

    @abstractmethod
    def build(self, model_path: Path, target: EngineTarget, out_dir: Path) -> EngineRecord:
        """Build the engine of ``model_path`` for ``target`` under ``out_dir/engines/``.

        Returns:
            ``built``, ``deferred`` (cannot be built here; the record says why and what to run) or
            ``failed`` (the toolkit refuses the model; the record names the node).

        Raises:
            BackendError: The model cannot be read, or ``target`` lacks something that the model needs.
        """

    def surroundings(self, order: Order) -> BuildEnvironment:
        """The properties of this machine that decide the engine of ``order``.

        Raises:
            CapabilityError: The engine cannot be built here.
        """
        raise CapabilityError(f"backend {self.name!r} leaves nothing to finish on the device.")

    def maker(self, root: Path, order: Order) -> Callable[[Progress], BuiltPlan]:
        """A function that builds the plan of ``order`` for the bundle at ``root``."""
        raise CapabilityError(f"backend {self.name!r} leaves nothing to finish on the device.")

    def open_engine(self, engine: Path, order: Order) -> TimedRunner:
        """Load a plan that :meth:`maker` made.

        Raises:
            BackendError: The toolkit refuses the plan.
            CapabilityError: This backend cannot run plans here.
        """
        raise CapabilityError(f"backend {self.name!r} does not run engines in this version; use onnxruntime.")

    @abstractmethod
    def open(self, model_path: Path, *, threads: int = 1, optimize: bool = True) -> Runner:
        """Load ``model_path`` to run it in this process.

        Args:
            model_path: ONNX model.
            threads: Threads that one ``run`` may use; at least 1.
            optimize: Whether the toolkit may rewrite the graph; False computes it node by node.

        Raises:
            BackendError: The model is refused.
            CapabilityError: This backend cannot run models here.
        """

    def open_bytes(self, name: str, model: bytes, *, threads: int = 1, optimize: bool = True) -> Runner:
        """:meth:`open` of a model in memory without external weights; ``name`` is for messages.

        Raises:
            BackendError: As :meth:`open`.
            CapabilityError: This backend reads files alone.
        """
        raise CapabilityError(f"backend {self.name!r} reads files alone; use onnxruntime.")


def record_for(backend: Backend, target: EngineTarget, status: Status, **details: object) -> EngineRecord:
    """A record with the identity fields filled in."""
    identity = {"side": target.side, "target": target.device, "backend": backend.name, "status": status}
    return EngineRecord.model_validate({**identity, **details})


def write_build_json(out_dir: Path, target: EngineTarget, document: Mapping[str, object]) -> None:
    """Write ``engines/TARGET/build.json``: sorted keys, no clocks, no absolute paths."""
    folder = out_dir / target.folder
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "build.json").write_text(text + "\n", encoding="utf-8")
