"""A client with a token beside attackers: its 99th percentile against that of the same client alone, and memory.

Every attack of ``tests/e2e/attackers.py``, one after the other, each right after a stretch without any. Attackers run
behind everything else on this machine's cores (``nice -n 19``): elsewhere they would have cores of their own. With 0
they take the server's share of them besides.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from plan_bench.rows import Cell, Row

sys.path.append(str(Path(__file__).parents[2] / "e2e"))
from attackers import MEMBERS, STRANGERS

from runtime_bench.pairs import Pair
from runtime_bench.processes import Served, served
from splitc.errors import RemoteError
from splitc.runtime import protocol
from splitc.runtime.client import Remote

TOKEN, OTHER_TOKEN = "a-token-for-the-bench", "a-token-that-means-harm"
E2E = Path(__file__).parents[2] / "e2e"
MEMORY_MB = 256
SAMPLES = 8
RATIO, MEMORY, LOST = "p99 / idle p99", "largest memory MB", "not answered"


@dataclass
class Tally:
    """What one stretch came to."""

    ms: list[float] = field(default_factory=list)
    lost: int = 0
    memory_mb: float = 0.0

    def at(self, rank: float) -> float:
        """A percentile."""
        return float(np.percentile(self.ms, rank))


def rows(pair: Pair, folder: Path, seconds: float, nice: int = 19) -> Iterator[Row]:
    """One row an attack."""
    tokens = folder / "tokens"
    tokens.write_text(f"{TOKEN}\n{OTHER_TOKEN}\n", "utf-8")
    flags = ("--token-file", str(tokens), "--max-memory-mb", str(MEMORY_MB))
    attacks = [(name, "") for name in STRANGERS] + [(name, OTHER_TOKEN) for name in MEMBERS]
    with served([pair.path], *flags) as server:
        begun_mb = server.rss_bytes / 2**20
        _stretch(pair, server, min(1.0, seconds))
        for name, token in attacks:
            idle = _stretch(pair, server, seconds)
            with _attacked(name, server.address, token, pair, nice):
                hit = _stretch(pair, server, seconds)
            yield Row("under attack", f"{name}{' with a token' if token else ''}", _cells(idle, hit, begun_mb))


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """The worst attack."""
    return {
        "p99_under_attack_ratio": _most(rows, RATIO),
        "memory_under_attack_mb": _most(rows, MEMORY),
        "lost_under_attack": sum(int(row.cells[LOST] or 0) for row in rows) if rows else None,
    }


def _most(rows: Sequence[Row], column: str) -> float | None:
    return max((float(row.cells[column] or 0) for row in rows), default=None)


def _cells(idle: Tally, hit: Tally, begun_mb: float) -> dict[str, Cell]:
    return {
        "answers": len(hit.ms),
        LOST: hit.lost,
        "idle p50 ms": idle.at(50),
        "p50 ms": hit.at(50),
        "idle p99 ms": idle.at(99),
        "p99 ms": hit.at(99),
        RATIO: hit.at(99) / idle.at(99),
        "memory MB after start": begun_mb,
        MEMORY: hit.memory_mb,
        "stated MB": begun_mb + MEMORY_MB,
    }


def _stretch(pair: Pair, server: Served, seconds: float) -> Tally:
    """One packet after the other, each with the answer of one process."""
    tally, over = Tally(), threading.Event()
    watch = threading.Thread(target=_watch, args=(server, tally, over))
    watch.start()
    channel, until = Remote(server.address, token=TOKEN).open(), time.perf_counter() + seconds
    try:
        while time.perf_counter() < until:
            for packet in pair.packets[:SAMPLES]:
                _ask(channel, pair, packet, tally)
    finally:
        channel.close()
        over.set()
        watch.join()
    return tally


def _ask(channel: object, pair: Pair, packet: bytes, tally: Tally) -> None:
    request, begun = protocol.packet_request(pair.bundle.name, pair.bundle.pair_id, "0", packet), time.perf_counter()
    try:
        (reply,) = channel.stream([request])  # type: ignore[attr-defined]
        tally.lost += bool(reply.error_message)
    except (RemoteError, ValueError):
        tally.lost += 1
    tally.ms.append((time.perf_counter() - begun) * 1e3)


def _watch(server: Served, tally: Tally, over: threading.Event) -> None:
    while not over.wait(0.05):
        tally.memory_mb = max(tally.memory_mb, server.rss_bytes / 2**20)


@contextlib.contextmanager
def _attacked(name: str, address: str, token: str, pair: Pair, nice: int) -> Iterator[None]:
    command = ["nice", "-n", str(nice), sys.executable, str(E2E / "attackers.py"), name, address, "3600"]
    process = subprocess.Popen([*command, *([token] if token else [])], stdin=subprocess.PIPE)
    message = protocol.packet_request(pair.bundle.name, pair.bundle.pair_id, "0", pair.packets[0]).SerializeToString()
    assert process.stdin is not None
    process.stdin.write(message)
    process.stdin.close()
    try:
        time.sleep(1.0)  # its first blows
        yield
    finally:
        process.kill()
        process.wait(20)
