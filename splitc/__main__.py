"""``python -m splitc`` is ``splitc``."""

from __future__ import annotations

from splitc.cli import main

if __name__ == "__main__":
    main()
