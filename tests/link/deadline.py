"""Processes that a test reads from, for a while: one that hangs is killed, and its reader sees its output end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

START_S = 60.0
"""For a Python process with its imports, on a machine with other work."""


@contextlib.contextmanager
def killed_after(seconds: float, process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill the process unless the block ends before."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def first_line(process: subprocess.Popen[str], seconds: float = START_S) -> str:
    """The first line of its stdout; empty where it ended, or said nothing in time and was killed."""
    with killed_after(seconds, process):
        return process.stdout.readline() if process.stdout else ""


def first_document(process: subprocess.Popen[str], seconds: float = START_S) -> dict[str, Any]:
    """The JSON document that its stdout begins with.

    Raises:
        RuntimeError: It ended before, or was killed because none came in time.
    """
    lines = [""]
    with killed_after(seconds, process):
        while lines[-1].rstrip() != "}":
            lines.append(process.stdout.readline() if process.stdout else "")
            if not lines[-1]:
                said = process.stderr.read() if process.stderr else ""
                raise RuntimeError(f"no document within {seconds:g} s, or the process ended: {said}")
    return dict(json.loads("".join(lines)))


def end(process: subprocess.Popen[Any], seconds: float = START_S) -> None:
    """Kill what still runs, and wait for it."""
    process.kill()
    process.communicate(timeout=seconds)
