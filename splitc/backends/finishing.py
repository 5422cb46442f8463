"""Build a deferred engine on the machine where it will run, replace the old one at once, and recognize it later.

model.engine
engine.json    what decided it, its hash, and the hash of the tactics that were timed
timing.cache   the tactics, for a build that is to give the same engine again; absent when none were kept
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from splitc import files
from splitc.backends.order import Order, key_of, model_bytes
from splitc.errors import BackendError, CapabilityError
from splitc.types import Frozen

ENGINE, RECORD, TIMINGS = "model.engine", "engine.json", "timing.cache"
Progress = Callable[[str, float | None], None]
"""Name of the phase, and the share of it that is done, None when that is not known."""
_BUSY = "another process builds this engine ({holder}); wait for it."
_MEMORY_FACTOR, _MEMORY_FLOOR = 3, 256 << 20
_DISK_FACTOR, _DISK_FLOOR = 2, 64 << 20


@dataclass(frozen=True)
class BuiltPlan:
    """A serialized engine (plan), and the tactics that were timed for it."""

    plan: bytes
    timing_cache: bytes = b""


@dataclass(frozen=True)
class BuildEnvironment:
    """The properties of this machine that decide an engine.

    Attributes:
        parts: What goes into the key beside graph and flags: GPU, toolkit version, driver.
        free_bytes: GPU memory that a build may take; None when it takes none.
    """

    parts: Mapping[str, object]
    free_bytes: int | None = field(default=None)


class EngineJson(Frozen):
    """``engine.json``: what an engine was built from."""

    key: str
    parts: dict[str, Any]
    sha256: str
    engine_bytes: int
    timing_cache_sha256: str | None = None
    seconds: float


class Finished(EngineJson):
    """What :func:`finish` did, and the engine."""

    status: str
    path: str


def finish(
    root: Path,
    order: Order,
    folder: Path,
    surroundings: BuildEnvironment,
    make: Callable[[Progress], BuiltPlan],
    progress: Progress = lambda phase, share: None,
    *,
    force: bool = False,
) -> Finished:
    """Build the engine, unless the current one is in ``folder``.

    Args:
        root: The bundle.
        order: What to build.
        folder: Where to put it.
        surroundings: This machine.
        make: Builds the plan.
        progress: Called with every phase and its share done.
        force: Build again even if the engine is current.

    Raises:
        BackendError: The model is not the bundle's, another build runs, or the toolkit refuses the model.
        CapabilityError: Too little memory or disk, or the folder cannot be written.
    """
    parts = parts_of(root, order, surroundings)
    _make_writable(folder)
    with files.locked(folder / ENGINE, 0, BackendError, _BUSY):
        if not force and why_stale(folder, parts) is None:
            return _finished(folder, "current")
        _require_room(root, order, folder, surroundings)
        start = time.monotonic()
        made = make(progress)
        _write(folder, made, _record_of(made, parts, time.monotonic() - start))
        return _finished(folder, "built")


def parts_of(root: Path, order: Order, surroundings: BuildEnvironment) -> dict[str, object]:
    """Everything that decides the engine, by name.

    Raises:
        BackendError: The model is not the one that the order was made for.
    """
    for name, digest in order.sources.items():
        try:
            found = files.sha256_of(root / name)
        except OSError as error:
            raise BackendError(f"{name}: cannot be read ({error.strerror}); fetch the bundle again.") from error
        if found != digest:
            raise BackendError(f"{name}: is not the model of this bundle; fetch the bundle again.")
    flags = {"shapes": order.model_dump(mode="json")["shapes"], "options": order.options.asked()}
    return {"graph": dict(order.sources), "backend": order.backend, "flags": flags, **surroundings.parts}


def why_stale(folder: Path, parts: Mapping[str, object]) -> str | None:
    """Why the engine in ``folder`` must not be used here; None when it may.

    Args:
        folder: Where ``finish`` put it.
        parts: :func:`parts_of` this machine.
    """
    if not (folder / ENGINE).is_file():
        return "no engine has been built here"
    record = _read_record(folder)
    if record is None:
        return f"{ENGINE} has no readable {RECORD}: it was built by build.sh or copied from another machine"
    normal = json.loads(json.dumps(parts))
    changed = [
        f"{name} was {_short(record.parts.get(name))} and is {_short(now)}"
        for name, now in normal.items()
        if record.parts.get(name) != now
    ]
    if changed:
        return f"the engine is stale: {'; '.join(changed)}"
    try:
        size, digest = (folder / ENGINE).stat().st_size, files.sha256_of(folder / ENGINE)
    except OSError as error:
        return f"{ENGINE} cannot be read ({error.strerror})"
    if (size, digest) != (record.engine_bytes, record.sha256):
        return f"{ENGINE} is not the file that {RECORD} describes: damaged or replaced"
    return None


def _record_of(made: BuiltPlan, parts: Mapping[str, object], seconds: float) -> EngineJson:
    return EngineJson(
        key=key_of(parts),
        parts=dict(parts),
        sha256=files.sha256_bytes(made.plan),
        engine_bytes=len(made.plan),
        timing_cache_sha256=files.sha256_bytes(made.timing_cache) if made.timing_cache else None,
        seconds=round(seconds, 3),
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_record(folder: Path) -> EngineJson | None:
    try:
        return EngineJson.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def _finished(folder: Path, status: str) -> Finished:
    record = _read_record(folder)
    assert record is not None, "the caller has just written or checked it"
    return Finished(status=status, path=str(folder / ENGINE), **record.model_dump())


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CapabilityError(f"{folder}: cannot be made ({error.strerror}); name another place with --out.") from error
    if not os.access(folder, os.W_OK):
        raise CapabilityError(f"{folder}: cannot be written; name another place with --out.")


def _require_room(root: Path, order: Order, folder: Path, surroundings: BuildEnvironment) -> None:
    """A rule of thumb, so that a build fails in the first second rather than in the last minute."""
    size = model_bytes(root, order)
    memory, disk = _MEMORY_FACTOR * size + _MEMORY_FLOOR, _DISK_FACTOR * size + _DISK_FLOOR
    if surroundings.free_bytes is not None and surroundings.free_bytes < memory:
        raise CapabilityError(
            f"the GPU has {surroundings.free_bytes >> 20} MiB free and this build needs {memory >> 20} MiB "
            f"({_MEMORY_FACTOR} times the model and {_MEMORY_FLOOR >> 20} MiB); close other programs first."
        )
    free = shutil.disk_usage(folder).free
    if free < disk:
        raise CapabilityError(f"{folder}: {free >> 20} MiB are free and {disk >> 20} MiB are needed; make room first.")


def _write(folder: Path, made: BuiltPlan, record: EngineJson) -> None:
    """All on the disk, then renamed, engine.json last: it names the others by hash, so none is known by another's."""
    document = json.dumps(record.model_dump(mode="json"), indent=2, sort_keys=True).encode() + b"\n"
    written: dict[Path, files.Content] = {folder / ENGINE: made.plan}
    if made.timing_cache:
        written[folder / TIMINGS] = made.timing_cache
    if folders := [path.name for path in (*written, folder / RECORD) if path.is_dir()]:
        raise CapabilityError(f"{folder}: cannot be written ({folders[0]} is a folder); remove it.")
    for name in (ENGINE, RECORD, TIMINGS):
        files.sweep(folder / name)
    files.write_together({**written, folder / RECORD: document}, CapabilityError)
    if not made.timing_cache:
        (folder / TIMINGS).unlink(missing_ok=True)
