"""What a bundle asks of the device, ``build.json``: everything that decides an engine except the machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from splitc.backends.options import EngineOptions
from splitc.backends.target import EngineTarget, Side
from splitc.errors import BackendError
from splitc.files import sha256_bytes
from splitc.types import Frozen, Line, TensorSpec

MAX_ORDER_BYTES = 1 << 20
Bounds = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Order(Frozen):
    """A deferred engine: what is to be built. Paths are relative to the bundle."""

    status: Literal["deferred"] = "deferred"
    backend: str
    side: Side
    target: str
    compute_capabilities: tuple[int, ...]
    tensorrt: Line | None = Field(description="line of the device's software; None when unknown")
    model: str
    sources: dict[str, str] = Field(description="sha256 of the model and of its weight files")
    shapes: dict[str, Bounds] = Field(description="least, usual and largest shape of each dynamic input")
    needs: tuple[str, ...] = Field((), description="precisions that weak typing must allow")
    options: EngineOptions = EngineOptions()
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    cache_key: str

    @field_validator("options")
    @classmethod
    def _portable(cls, options: EngineOptions) -> EngineOptions:
        if options != options.portable():
            raise ValueError("a bundle may not name a timing cache")
        return options

    def document(self) -> dict[str, object]:
        """As build.json holds it."""
        return self.model_dump(mode="json") | {"options": self.options.asked()}


def read_order(data: bytes, where: str) -> Order | None:
    """The order in a build.json; None when the engine is built or is the model itself.

    Raises:
        BackendError: Not JSON, or not an order of this version.
    """
    if len(data) > MAX_ORDER_BYTES:
        raise BackendError(f"{where}: has {len(data)} bytes; at most {MAX_ORDER_BYTES} are read.")
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or document.get("status") != "deferred":
            return None
        return Order.model_validate(document)
    except RecursionError:
        raise BackendError(f"{where}: is nested too deeply; build the bundle again.") from None
    except (ValueError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(map(str, first["loc"])) or "document"
        raise BackendError(f"{where}: {place}: {first['msg']}; build the bundle again.") from error


def built_folder(target: EngineTarget) -> str:
    """Where build.sh puts its engine, relative to the bundle; the manifest lists nothing of it."""
    return target.in_bundle(f"{target.folder}/built")


def key_of(parts: Mapping[str, object]) -> str:
    """sha256 over everything that decides an engine: graph, GPU, toolkit, flags and driver."""
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())


def model_bytes(root: Path, order: Order) -> int:
    """Bytes of the model and of its weight files."""
    return sum((root / name).stat().st_size for name in order.sources)
