"""A file is replaced and what it was is kept: for updates that can be taken back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from splitc.errors import SplitcError, UsageError
from splitc.files.hidden import PARTIAL, hidden_beside, hidden_path, remove
from splitc.files.reading import sha256_of
from splitc.files.refusals import as_refusals
from splitc.files.sweep import sweep
from splitc.files.whole import Content, move_into_place, refuse_special, sync, write_file

KEPT = "kept"
"""Kind of the hidden copy of what is being replaced."""


def replace_and_keep(place: Path, kept: Path, content: Content, refusal: type[SplitcError] = UsageError) -> None:
    """Write ``place``; what it was stands at ``kept`` afterwards. The caller holds the lock of ``place``.

    ::

        .NAME.OWNER.TOKEN.kept    a copy of NAME, on the disk
        NAME                      is replaced
        .NAME....kept -> kept     is renamed

    Whenever the process is killed, ``place`` is whole, and :func:`finish_keeping` tells by the copy whether it had been
    replaced: then the copy becomes ``kept``, else ``kept`` stays what it was.

    Args:
        place: A file that is there.
        kept: Another name in the same folder.
        content: What goes into ``place``.
        refusal: Class of the errors.

    Raises:
        SplitcError: As :func:`write_file`; both places are as they were.
    """
    refuse_special(kept, refusal)
    place = Path(os.path.realpath(place))
    finish_keeping(place, kept, refusal)
    with as_refusals(place, refusal):
        copy = _copied(place)
        try:
            write_file(place, content, refusal)
            move_into_place(copy, kept)
        finally:
            finish_keeping(place, kept, refusal)


def finish_keeping(place: Path, kept: Path, refusal: type[SplitcError] = UsageError) -> None:
    """Finish what a killed :func:`replace_and_keep` began. The caller holds the lock of ``place``.

    Raises:
        SplitcError: The folder cannot be written.
    """
    place = Path(os.path.realpath(place))
    sweep(place)
    with as_refusals(place, refusal):
        for copy in hidden_beside(place, KEPT):
            if place.exists() and _same(copy.path, place):
                remove(copy.path)
            else:
                move_into_place(copy.path, kept)


def _copied(place: Path) -> Path:
    """The hidden copy; under its name it is whole."""
    partial = hidden_path(place, PARTIAL)
    try:
        shutil.copyfile(place, partial)
        shutil.copymode(place, partial)
        sync(partial)
        copy = hidden_path(place, KEPT)
        os.replace(partial, copy)
        return copy
    finally:
        remove(partial)


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and sha256_of(one) == sha256_of(other)
