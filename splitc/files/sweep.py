"""What a killed process left goes when the next one writes the same place; a live one's stays, however old it is."""

from __future__ import annotations

import os
from pathlib import Path

from splitc.files.hidden import LOCK, PARTIAL, hidden_beside, hidden_in, remove
from splitc.files.lock import remove_stale_lock


def sweep(place: Path) -> None:
    """Remove what writers of ``place`` left that have ended.

    A writer of this host has ended when its process has. Of one on another host nothing is known but when it last
    touched its file or folder: a day ago is taken for the end, and who still works touches it every hour.
    """
    place = Path(os.path.abspath(place))
    for one in hidden_beside(place, PARTIAL):
        if one.is_abandoned:
            remove(one.path)
    remove_stale_lock(place)


def sweep_folder(folder: Path) -> None:
    """:func:`sweep` for every place in a folder that is all ours, such as one of the cache: those too whose name nobody
    will write again.
    """
    for one in hidden_in(folder, PARTIAL):
        if one.is_abandoned:
            remove(one.path)
    for path in folder.glob(f".*.{LOCK}"):
        remove_stale_lock(path.with_name(path.name[1:].removesuffix(f".{LOCK}")))
