"""Failures of the file system, in a few words each."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from splitc.errors import SplitcError
from splitc.files.hidden import hidden_start

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than the file system or its limit allows",
}
_NUMPY_FULL = re.compile(r"\d+ requested and \d+ written|not enough free space")


def reason_of(error: OSError) -> str:
    """What the system says, as it says it."""
    return error.strerror or str(error)


def full_reason(error: OSError) -> str | None:
    """Why nothing more can be written: disk, quota or size limit; None for all other failures.

    NumPy reports a short write by numbers alone and names no path.
    """
    if error.errno is None and _NUMPY_FULL.search(str(error)):
        return _FULL[errno.ENOSPC]
    return _FULL.get(error.errno or 0)


@contextlib.contextmanager
def as_refusals(named: Path | str, refusal: type[SplitcError]) -> Iterator[None]:
    """Failures of writing ``named`` become one sentence."""
    try:
        yield
    except OSError as error:
        raise refusal(f"{named}: cannot be written ({reason_of(error)}).") from error


def is_within(name: object, place: Path) -> bool:
    """Whether a failed path is one that a writer of ``place`` makes, and no input that happens to lie beside it."""
    if not isinstance(name, (str, bytes)):
        return False
    path = Path(os.path.abspath(os.fsdecode(name)))
    return path in (place, place.parent, *place.parent.parents) or str(path).startswith(str(hidden_start(place)))
