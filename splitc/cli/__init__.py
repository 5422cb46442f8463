"""The ``splitc`` command; one module a subcommand, each importing its rooms when it runs."""

from __future__ import annotations

from splitc.cli import (  # noqa: F401  # they register themselves
    build,
    decode,
    delta,
    doctor,
    encode,
    engine,
    inspect,
    merge,
    pack,
    plan,
    profile,
    recover,
    report,
    run,
    serve,
    sign,
    split,
    triton,
    verify,
)
from splitc.cli.app import app, main

__all__ = ["app", "main"]
