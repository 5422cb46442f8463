"""Fuzz every reader of the command line: ``python tests/fuzz/run.py --cases 100000 --seed 1``.

Sound files are made once; each case damages one and runs the command that reads it, in a process with a limit of memory
and of time. Faults are: a traceback, a signal, a hang, a refusal that is not one sentence, damage that a checksum
covers and that was accepted, and a refusal that changed what it should have left. Each is printed at once, what was
tried so far after every thousand, also where Ctrl-C ends it. Exit status 1 when there is one.
``--only NAME`` tries one reader, ``--number N`` one case again.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BATCH = 1000
"""Cases of one process; the next one starts with memory of its own."""
SILENT_S = 300.0
"""A process that waits for something, or that gets no time on a busy machine."""


@dataclass
class Tally:
    """What all processes reported."""

    cases: int = 0
    peak_mb: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)

    def note(self, fault: dict[str, Any]) -> None:
        """One more fault, said at once: a run may take hours."""
        self.faults.append(fault)
        print(json.dumps(fault), flush=True)


def fuzz(folder: Path, seed: int, cases: int, seconds: float, only: str | None = None, first: int = 0) -> Tally:
    """Cases from number ``first`` until there are ``cases``, or until the time is over."""
    tally, end, at = Tally(), time.monotonic() + seconds, first
    try:
        while at < first + cases and time.monotonic() < end:
            at = _batch(tally, [folder, seed, at, min(BATCH, first + cases - at), *([only] if only else [])], end)
            tally.cases = at - first
            print(f"{tally.cases} cases, {len(tally.faults)} faults", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return tally


def _batch(tally: Tally, words: list[object], end: float) -> int:
    """One process; the number of the case after its last."""
    at, last = int(str(words[2])), int(str(words[2])) + int(str(words[3]))
    command = [sys.executable, str(HERE / "worker.py"), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as worker:
        for said in _said(worker, end):
            at = said.get("at", at)
            tally.peak_mb = max(tally.peak_mb, said.get("peak_mb", 0))
            if "fault" in said:
                tally.note(said["fault"])
            if "done" in said:
                return last
        ended = worker.poll()
        if ended is None:
            worker.kill()
    if ended is not None or time.monotonic() < end:
        how = f"silent for {SILENT_S:.0f} s" if ended is None else f"the process ended with {ended}"
        tally.note({"number": at, "what": how})
    return at + 1


def _said(worker: subprocess.Popen[bytes], end: float) -> Iterator[dict[str, Any]]:
    """What a process prints, until it ends, is silent for too long, or the time is over."""
    assert worker.stdout is not None
    left = b""
    while time.monotonic() < end:
        if not select.select([worker.stdout], [], [], SILENT_S)[0]:
            return
        data = os.read(worker.stdout.fileno(), 1 << 16)
        if not data:
            worker.wait()
            return
        *lines, left = (left + data).split(b"\n")
        yield from map(json.loads, lines)


def main() -> int:
    """Parse, fuzz, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    parser.add_argument("--number", type=int)
    asked = parser.parse_args()
    first, cases = (0, asked.cases) if asked.number is None else (asked.number, 1)
    with tempfile.TemporaryDirectory() as made:
        for name in ("SPLITC_CACHE", "SPLITC_STATE", "TMPDIR"):
            os.environ[name] = str(Path(made) / name.lower())
            Path(os.environ[name]).mkdir()
        subprocess.run([sys.executable, "-c", _SCENE, str(HERE), f"{made}/scene"], check=True)
        start = time.monotonic()
        tally = fuzz(Path(made) / "scene", asked.seed, cases, asked.seconds, asked.only, first)
    kinds = Counter(fault["what"].strip().splitlines()[-1][:80] for fault in tally.faults)
    took = time.monotonic() - start
    print(f"{tally.cases} cases in {took:.0f} s, {len(tally.faults)} faults, {tally.peak_mb} MB at most")
    for kind, count in kinds.most_common():
        print(f"{count:6}  {kind}")
    return int(bool(tally.faults))


_SCENE = """\
import sys, pathlib
sys.path.insert(0, sys.argv[1])
import scene
scene.write_scene(pathlib.Path(sys.argv[2]))
"""

if __name__ == "__main__":
    sys.exit(main())
