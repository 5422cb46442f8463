"""Where paths lead. Unlike ``Path.resolve``, links in a circle are no failure here: whoever opens them says it."""

from __future__ import annotations

import os
from pathlib import Path


def real_path(path: Path) -> Path:
    """Absolute, without links as far as they lead anywhere; it need not be there."""
    return Path(os.path.realpath(path))


def lies_in(path: Path, folder: Path) -> bool:
    """Whether ``path`` is ``folder`` itself or something below it, whatever links are called."""
    return real_path(path).is_relative_to(real_path(folder))
