"""The ``splitc`` command; one module a subcommand, each importing its rooms when it runs."""

from __future__ import annotations

from splitc.cli import build, decode, doctor, encode, inspect, report, run, verify  # noqa: F401  # they register themselves
from splitc.cli.app import app, main

__all__ = ["app", "main"]
