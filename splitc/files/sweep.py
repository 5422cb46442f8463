"""What a killed process left goes when the next one writes the same place; a live one's stays, however old it is."""

from __future__ import annotations

import os
from pathlib import Path

from splitc.files.hidden import PARTIAL, hidden_beside, remove
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
