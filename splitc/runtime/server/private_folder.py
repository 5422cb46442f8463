"""A folder that only this user may enter, for a socket: no file is written in it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress

from splitc.errors import CapabilityError

MAX_PATH = 90
"""A socket's path has at most 107 bytes, its own name included."""


def make_private_folder(places: Sequence[str] | None = None) -> str:
    """Make one; the caller removes it.

    Args:
        places: Where to try, in this order; None: folders of the session, then of the machine.

    Raises:
        CapabilityError: Nowhere.
    """
    for place in places if places is not None else _places():
        path = os.path.join(place, f"splitc-{secrets.token_hex(8)}")
        with suppress(OSError):
            if len(os.fsencode(path)) <= MAX_PATH:
                os.mkdir(path, 0o700)
                return path
    raise CapabilityError("no folder for a socket can be made; set TMPDIR to one of a short name that can be written.")


def _places() -> list[str]:
    named = [os.environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "TMPDIR")]
    return [place for place in (*named, "/dev/shm", "/tmp") if os.path.isabs(place)]
