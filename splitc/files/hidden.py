"""Hidden names beside a place: what is being written, what is being replaced.

::

    .NAME.OWNER.TOKEN.partial   being filled by OWNER
    .NAME.OWNER.TOKEN.old       the folder that is being replaced; put back if NAME is missing
    .NAME.lock                  see ``lock``

A name that is too long for that is replaced by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitc.files.owner import PATTERN, Owner, is_abandoned, owner_from_text, this_process

PARTIAL, OLD = "partial", "old"
LOCK = "lock"
LONGEST_NAME = 160
"""Bytes of a name that is still written out; file systems end at 255."""


@dataclass(frozen=True)
class Hidden:
    """A hidden file or folder.

    Attributes:
        path: Where it lies.
        kind: :data:`PARTIAL`, :data:`OLD`, or one of the caller's.
        owner: Who made it; None for names of earlier versions, which did not say.
    """

    path: Path
    kind: str
    owner: Owner | None

    @property
    def is_abandoned(self) -> bool:
        """Whether its owner has ended."""
        return is_abandoned(self.path, self.owner)


def hidden_path(place: Path, kind: str) -> Path:
    """A new name beside ``place`` that nobody else has."""
    return place.parent / f"{stem_of(place)}.{this_process()}.{secrets.token_hex(6)}.{kind}"


def lock_path(place: Path) -> Path:
    """The lock file of ``place``."""
    return place.parent / f"{stem_of(place)}.{LOCK}"


def hidden_start(place: Path) -> Path:
    """What the paths of all that is hidden beside ``place`` begin with."""
    return place.parent / f"{stem_of(place)}."


def stem_of(place: Path) -> str:
    """What all hidden names of ``place`` begin with, before a dot."""
    name = os.fsencode(place.name)
    return f".{place.name}" if len(name) <= LONGEST_NAME else f".{hashlib.sha256(name).hexdigest()[:32]}"


def hidden_beside(place: Path, *kinds: str) -> Iterator[Hidden]:
    """What stands beside ``place`` under its hidden names, links left out."""
    return _hidden(place.parent, re.escape(stem_of(place)), kinds)


def hidden_in(folder: Path, *kinds: str) -> Iterator[Hidden]:
    """What stands in ``folder`` under hidden names of any place, links left out."""
    return _hidden(folder, r"\..+?", kinds)


def _hidden(folder: Path, stem: str, kinds: Sequence[str]) -> Iterator[Hidden]:
    pattern = re.compile(rf"{stem}\.(?:({PATTERN})\.)?[0-9a-f]{{12}}\.({'|'.join(kinds)})", re.DOTALL)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        match = pattern.fullmatch(name)
        if match is not None and not (path := folder / name).is_symlink():
            yield Hidden(path, match[2], owner_from_text(match[1] or ""))


def remove(path: Path) -> None:
    """Delete a file or a folder; what somebody else deletes at the same moment is as good."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink()
