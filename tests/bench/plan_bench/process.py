"""Run one measurement in a fresh interpreter, so that its peak memory is its own.

    python -m plan_bench.process MODULE:FUNCTION '{"argument": ...}'

prints one JSON document: what the function returned, the seconds it took after its imports, and the peak resident
memory of the process (``VmHWM``: file pages that are mapped count, pages of files read or copied do not).
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """What a process did.

    Attributes:
        value: What the function returned; None when it failed.
        seconds: Wall-clock time of the call, without starting Python and importing.
        peak_mb: Peak resident memory of the process, 10**6 bytes.
        error: Last line that it printed when it failed, else "".
    """

    value: Any
    seconds: float
    peak_mb: float
    error: str = ""


def measure(function: str, arguments: Mapping[str, Any], timeout_s: float = 3600) -> Measured:
    """Call ``MODULE:FUNCTION`` of this folder in a process of its own."""
    command = [sys.executable, "-m", "plan_bench.process", function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=BENCH, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        return Measured(None, 0.0, 0.0, lines[-1])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def peak_mb() -> float:
    """Peak resident memory of this process, 10**6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def _main(function: str, arguments: str) -> None:
    module, _, name = function.partition(":")
    call = getattr(importlib.import_module(module), name)
    started = time.perf_counter()
    value = call(**json.loads(arguments))
    seconds = time.perf_counter() - started
    print(json.dumps({"value": value, "seconds": seconds, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
