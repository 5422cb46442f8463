"""Where real models, pictures and videos stand: ``$SPLITC_DATA``, else ``../shared/data`` beside the clone."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPLITC_DATA", ROOT.parent / "shared" / "data"))
