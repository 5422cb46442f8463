"""Updates from one deployed container to another, much smaller than either (FORMAT.md, "Deltas").

A delta names the content hash of its base and of its target. It applies to that base alone, and what comes out is
compared with the target before anything on disk changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from splitc import files
from splitc.errors import BitstreamError, CheckFailed, CodecError, UsageError
from splitc.weights.container import Container, Item, assemble, container_bytes, open_container
from splitc.weights.encodings import Encoding, Wanted
from splitc.weights.encodings.keep import Keep
from splitc.weights.encodings.patch import Patch
from splitc.weights.encodings.planes import Planes
from splitc.weights.encodings.raw import Raw
from splitc.weights.header import Entry, content_hash
from splitc.weights.recode import encoding_like
from splitc.weights.tensor import WeightTensor, same

ROLLBACK = ".previous"
"""What an applied delta leaves its base as."""
MOST_GROWTH = 4
ALWAYS_BYTES = 64 << 20
"""A delta makes at most :data:`MOST_GROWTH` times the base's bytes in memory, or these: few may stand for many."""


@dataclass(frozen=True)
class Applied:
    """An applied update.

    Attributes:
        path: The container that now holds the target.
        previous: The replaced container, for :func:`roll_back`.
        content: Content hash of the target.
        changed: Tensors that are not the base's.
    """

    path: Path
    previous: Path
    content: str
    changed: int


def delta_bytes(base: Container, target: Container) -> bytes:
    """The delta from ``base`` to ``target``.

    Raises:
        BitstreamError: Either is damaged, or is a delta itself.
    """
    refuse_deltas(base, target)
    bases = {tensor.name: tensor for tensor in base.tensors()}
    items = [_smallest(tensor, bases.get(tensor.name)) for tensor in target.tensors()]
    return assemble(items, bases, (base.header.content, target.header.content))


def refuse_deltas(*containers: Container) -> None:
    """Raises: BitstreamError: One of them is a delta."""
    for one in containers:
        if one.header.is_delta:
            raise BitstreamError(
                f"{one.label}weights: this is a delta, and a whole container is needed; apply it to its base first."
            )


def _smallest(tensor: WeightTensor, base: WeightTensor | None) -> Item:
    if base is not None and same(tensor, base):
        return Item(tensor, Keep())
    whole: Encoding = Planes() if tensor.flat.size else Raw()
    if base is None or (base.dtype, base.shape) != (tensor.dtype, tensor.shape):
        return Item(tensor, whole)
    return min((Item(tensor, one) for one in (Patch(), whole)), key=lambda item: _size(item, base))


def _size(item: Item, base: WeightTensor) -> int:
    return len(assemble([item], {base.name: base}, (bytes(32), bytes(32))))


def merged(base: Container, delta: Container) -> bytes:
    """The target of ``delta`` applied to ``base``, its tensors coded as the base's are.

    Raises:
        BitstreamError: Either is damaged, or the delta is of another base.
    """
    refuse_deltas(base)
    if not delta.header.is_delta:
        raise BitstreamError(
            f"{delta.label}weights: this is a whole container, not a delta; put it in the base's place."
        )
    if base.header.content != delta.header.base:
        raise BitstreamError(
            f"{delta.label}weights: the delta is for a base of content {delta.header.base.hex()[:12]}, this one has "
            f"{base.header.content.hex()[:12]}; fetch the delta for it, or the whole container."
        )
    _refuse_growth(base, delta)
    bases = {tensor.name: tensor for tensor in base.tensors()}
    tensors = list(delta.tensors(bases))
    found = content_hash([(Wanted(one.name, one.dtype, one.shape), one.digest) for one in tensors])
    if found != delta.header.target:
        raise BitstreamError("weights: the delta's result is not its target; make the delta again.")
    return container_bytes(_recoded(tensors, base.header.entries))


def _refuse_growth(base: Container, delta: Container) -> None:
    """Raises: BitstreamError: The updated tensors would take far more memory than the base's; nothing is decoded."""
    before, after = (sum(one.wanted.count * one.wanted.itemsize for one in x.header.entries) for x in (base, delta))
    limit = max(MOST_GROWTH * before, ALWAYS_BYTES)
    if after > limit:
        raise BitstreamError(
            f"{delta.label}weights: the update has {after} bytes of tensors, of this base it may have {limit}; "
            "fetch the whole container."
        )


def _recoded(tensors: Sequence[WeightTensor], entries: Sequence[Entry]) -> list[Item]:
    """Coded as in the base, or as byte planes where the new values do not allow it."""
    like: Mapping[str, Entry] = {entry.wanted.name: entry for entry in entries}
    items = []
    for tensor in tensors:
        encoding = encoding_like(like[tensor.name]) if tensor.name in like else Planes()
        try:
            container_bytes([Item(tensor, encoding)])
        except CodecError:
            encoding = Planes() if tensor.flat.size else Raw()
        items.append(Item(tensor, encoding))
    return items


def apply_delta(base: Path, delta: Path | BinaryIO, max_bytes: int | None = None) -> Applied:
    """Update ``base`` in place, completely or not at all; the old container is kept beside it.

    ``base`` is locked from reading to writing: of two updates for the same base that come at once, one is applied and
    the other is refused, because its base is not there any more.

    Args:
        base: The deployed container.
        delta: For this base; a file, or bytes that can be read and sought.
        max_bytes: Refuse an updated container larger than this.

    Raises:
        BitstreamError: Damage, or a delta of another base; ``base`` is untouched.
        CheckFailed: The size gate is missed; ``base`` is untouched.
        UsageError: A file is absent or in use, or the folder cannot be written.
    """
    refuse_absent(base)
    with files.locked(base):
        files.finish_keeping(base, _previous(base))
        return _applied(base, delta, max_bytes)


def refuse_absent(base: Path) -> None:
    """Raises: UsageError: ``base`` is not there, so there is nothing to lock."""
    if not base.exists():
        raise UsageError(f"{base}: cannot be read (No such file or directory).")


def _applied(base: Path, delta: Path | BinaryIO, max_bytes: int | None) -> Applied:
    with open_container(base) as old, open_container(delta) as update:
        data = merged(old, update)
        content = update.header.target.hex()
        changed = sum(entry.encoding != Keep.name for entry in update.header.entries)
    if max_bytes is not None and len(data) > max_bytes:
        raise CheckFailed(
            f"the updated container has {len(data)} bytes, the limit is {max_bytes}; {base} is untouched."
        )
    with open_container(BytesIO(data)) as again:
        for _ in again.tensors():  # every hash, before the deployed file is touched
            pass
    previous = _previous(base)
    files.replace_and_keep(base, previous, data)
    return Applied(base, previous, content, changed)


def roll_back(base: Path) -> Path:
    """Restore what the last update of ``base`` replaced.

    Raises:
        UsageError: Nothing was kept, it cannot be restored, or ``base`` is in use.
        BitstreamError: What was kept is damaged; ``base`` is untouched.
    """
    if base.is_dir() or not base.absolute().parent.is_dir():
        raise _nothing_kept(base)
    with files.locked(base):
        return _rolled_back(base)


def _rolled_back(base: Path) -> Path:
    previous = _previous(base)
    files.finish_keeping(base, previous)
    if not previous.is_file():
        raise _nothing_kept(base)
    with open_container(previous) as kept:
        for _ in kept.tensors():
            pass
    with files.as_refusals(base, UsageError):
        files.move_into_place(previous, Path(os.path.realpath(base)))
    return base


def _nothing_kept(base: Path) -> UsageError:
    return UsageError(f"{_previous(base)}: no such file; there is no update of {base} to take back.")


def _previous(base: Path) -> Path:
    place = os.path.realpath(base) if base.is_symlink() else base  # beside the file, not beside a link to it
    return Path(f"{place}{ROLLBACK}")
