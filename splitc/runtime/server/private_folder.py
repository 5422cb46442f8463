"""A folder that only this user may enter, for a socket: no file is written in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from splitc.errors import CapabilityError
from splitc.files import owned_folder

MAX_PLACE = 44
"""A socket's path has at most 107 bytes, its own name and the folder's included."""
PURPOSE = "splitc-serve"


@contextmanager
def private_folder(places: Sequence[str] | None = None) -> Iterator[str]:
    """Its path, while the block runs; those of servers that were killed go first.

    Args:
        places: Where to try, in this order; None: folders of the session, then of the machine.

    Raises:
        CapabilityError: Nowhere.
    """
    with ExitStack() as leaving:
        yield _entered(leaving, _places() if places is None else places)


def _entered(leaving: ExitStack, places: Sequence[str]) -> str:
    """A folder that goes when ``leaving`` ends."""
    for place in places:
        with suppress(OSError):
            if len(os.fsencode(place)) <= MAX_PLACE:
                return os.fspath(leaving.enter_context(owned_folder(Path(place), PURPOSE)))
    raise CapabilityError("no folder for a socket can be made; set TMPDIR to one of a short name that can be written.")


def _places() -> list[str]:
    named = [os.environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "TMPDIR")]
    return [place for place in (*named, "/dev/shm", "/tmp") if os.path.isabs(place)]
