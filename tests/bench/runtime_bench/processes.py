"""Servers in processes of their own, and what the kernel says of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "link"))
from deadline import end, first_document

PROGRAM = "from splitc.cli import main; main()"


@dataclass(frozen=True)
class Served:
    """A server that runs: where, and its process."""

    address: str
    pid: int

    @property
    def rss_bytes(self) -> int:
        """Resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) << 10
        raise ProcessLookupError(self.pid)

    @property
    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def served(
    bundles: Sequence[Path], *options: str, listen: str = "127.0.0.1:0", within: Sequence[str] = ()
) -> Iterator[Served]:
    """``splitc serve BUNDLES OPTIONS`` while the block runs.

    Args:
        bundles: What to serve.
        options: More words for the command.
        listen: ``HOST:PORT``.
        within: Words before the command, to start it elsewhere.
    """
    command = [*within, sys.executable, "-c", PROGRAM, "serve", *map(str, bundles), "--listen", listen, "--json"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Served(first_document(process)["address"], process.pid)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=60)
        end(process)
