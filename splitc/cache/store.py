"""A folder of entries, one a result.

::

    KEY.entry = "splitc-step", version, KEY, SHA-256 of the payload, payload

An entry is believed only if its name, its key and its hash agree; any other is removed and its step runs again. Entries
appear whole (:func:`splitc.files.write_file`), so builds side by side share the folder: at worst two compute the same
result, which is the same. The least recently used go when the folder grows beyond its bound.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from splitc import files
from splitc.cache.formats import Parts
from splitc.cache.keys import Key, environment, key_of
from splitc.errors import SplitcError

T = TypeVar("T")
MAGIC = b"splitc-step"
VERSION = 1
_HEAD = struct.Struct("<11sB32s32s")
MOST_BYTES = 4 << 30
"""Of all entries together."""
MOST_ENTRY_BYTES = 512 << 20
"""A larger result is not kept."""
SUFFIX = ".entry"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, SplitcError)
"""What damage raises, and data that an older form of a step wrote."""


@dataclass(frozen=True)
class CachedStep(Generic[T]):
    """One kind of result.

    Attributes:
        name: For people who look at keys.
        version: Raised when the same inputs give another result, or another form of it.
        pack: A result as buffers, which are written one behind the other.
        unpack: The same result again, from a file that stands where they begin and ends where they end.
    """

    name: str
    version: int
    pack: Callable[[T], Parts]
    unpack: Callable[[BinaryIO], T]


@dataclass(frozen=True)
class Found(Generic[T]):
    """A result that is there; it may be None itself."""

    result: T


@dataclass(frozen=True)
class StepCache:
    """Where results are kept.

    Attributes:
        folder: None keeps nothing.
        most_bytes: Bound of all entries together.
        require_inputs: Raises where the inputs are no longer what the keys say; asked before a result is kept.
    """

    folder: Path | None
    most_bytes: int = MOST_BYTES
    require_inputs: Callable[[], None] = lambda: None

    def run(self, step: CachedStep[T], key: Key, compute: Callable[[], T]) -> T:
        """The result of ``step`` for ``key``: kept from before, else computed now and kept.

        Args:
            step: What is computed.
            key: :func:`splitc.cache.key_of` everything that decides the result; the step itself, this splitc and this
                machine are added here.
            compute: Computes it.
        """
        found = self.find(step, key)
        if found is None:
            found = Found(compute())
            self.keep(step, key, found.result)
        return found.result

    def find(self, step: CachedStep[T], key: Key) -> Found[T] | None:
        """The result that was kept, or None."""
        if self.folder is None:
            return None
        full = _full(step, key)
        place = self.folder / f"{full}{SUFFIX}"
        try:
            with files.open_plain(place) as file:
                if not _is_sound(file, full):
                    raise ValueError("damaged")
                found = Found(step.unpack(file))
        except FileNotFoundError:
            return None
        except _UNREADABLE:
            _remove(place)
            return None
        with contextlib.suppress(OSError):
            os.utime(place)  # used now
        return found

    def keep(self, step: CachedStep[T], key: Key, result: T) -> None:
        """Keep a result; a cache that cannot be written (a full disk, a folder of somebody else) costs time only.

        Raises:
            SplitcError: What ``require_inputs`` raises.
        """
        self.require_inputs()
        if self.folder is None:
            return
        full, parts = _full(step, key), step.pack(result)
        if sum(memoryview(part).nbytes for part in parts) > min(MOST_ENTRY_BYTES, self.most_bytes // 2):
            return
        place = self.folder / f"{full}{SUFFIX}"
        head = _HEAD.pack(MAGIC, VERSION, bytes.fromhex(full), bytes.fromhex(files.sha256_bytes(*parts)))
        with contextlib.suppress(OSError, SplitcError):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_file(place, lambda file: file.writelines((head, *parts)))
            self._trim(keep=place)

    def _trim(self, keep: Path) -> None:
        """Remove the entries that were longest not used, until the rest is within the bound."""
        assert self.folder is not None
        files.sweep_folder(self.folder)
        found = sorted(_entries(self.folder), key=lambda entry: entry.used_at, reverse=True)
        total = sum(entry.size for entry in found)
        while total > self.most_bytes and found:
            oldest = found.pop()
            if oldest.path != keep:
                _remove(oldest.path)
                total -= oldest.size


def _full(step: CachedStep[T], key: Key) -> Key:
    return key_of(step=step.name, version=step.version, key=key, environment=environment())


NO_CACHE = StepCache(None)
"""Every step runs."""


def default_cache() -> StepCache:
    """The user's own: ``steps`` in :func:`splitc.files.cache_folder`; none where ``$SPLITC_NO_CACHE`` says anything."""
    return NO_CACHE if os.environ.get("SPLITC_NO_CACHE") else StepCache(files.cache_folder("steps"))


@dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used_at: float


def _entries(folder: Path) -> list[_Entry]:
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):  # removed by another build
            stat = path.stat()
            found.append(_Entry(path, stat.st_size, stat.st_mtime))
    return found


def _is_sound(file: BinaryIO, key: Key) -> bool:
    """Whether an entry is of ``key`` and undamaged; the file stands at its payload afterwards."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return False
    magic, version, own_key, digest = _HEAD.unpack(head)
    is_ours = (magic, version, own_key) == (MAGIC, VERSION, bytes.fromhex(key))
    is_sound = is_ours and bytes.fromhex(files.sha256_stream(file)) == digest
    file.seek(_HEAD.size)
    return is_sound


def _remove(place: Path) -> None:
    with contextlib.suppress(OSError):
        place.unlink()
