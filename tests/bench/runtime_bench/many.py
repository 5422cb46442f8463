"""Many clients at once over mixed bundles: lost or swapped answers, latency, and the server's memory over time.

Every client sends packets that were encoded before, ``WINDOW`` at a time on a stream of its own, so that the server is
the bottleneck and not the heads of its clients. Rows of a batch differ from single ones in the last bits, and the
expected answers of two samples of one bundle differ by far more than that.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from plan_bench.rows import Cell, Row

from runtime_bench.pairs import Pair
from runtime_bench.processes import Served, served
from splitc.runtime import protocol
from splitc.runtime.client import Remote
from splitc.types import Array, TensorSpec

CLIENTS, WINDOW = 64, 2
TOLERANCE = 1e-3
"""Of the largest value of an answer: float32 sums in another order, through a few layers."""
WARM_UP, P99, GROWTH, WRONG = 0.3, "p99 ms", "server memory growth", "wrong or lost"
CPU = "server CPU ms / answer"


@dataclass
class Tally:
    """What one client saw."""

    sent: int = 0
    wrong: int = 0
    ms: list[float] = field(default_factory=list)


def rows(pairs: Sequence[Pair], seconds: float, clients: int = CLIENTS, max_batch: int = 8) -> Iterator[Row]:
    """One row, of all bundles together."""
    for pair in pairs:
        _ = pair.packets, pair.expected
    paths = [pair.path for pair in pairs]
    with served(paths, "--max-batch", str(max_batch)) as server, ThreadPoolExecutor(clients) as pool:
        until, memory = time.perf_counter() + seconds, list[int]()
        watch = threading.Thread(target=_watch, args=(server, until, memory))
        watch.start()
        before_s = server.cpu_s
        tallies = list(
            pool.map(lambda index: _client(pairs[index % len(pairs)], server.address, index, until), range(clients))
        )
        watch.join()
        cells = _cells(tallies, memory, seconds)
        cells[CPU] = (server.cpu_s - before_s) / max(1, int(cells["answers"] or 0)) * 1e3
    yield Row("many clients", f"{clients} clients, {len(pairs)} bundles, {seconds:.0f} s", cells)


def summary(rows: Sequence[Row]) -> Mapping[str, Cell]:
    """The promised numbers."""
    cells = rows[0].cells if rows else {}
    return {
        "p99_ms": cells.get(P99),
        "memory_growth": cells.get(GROWTH),
        "wrong_many": cells.get(WRONG),
    }


def _cells(tallies: Sequence[Tally], memory: Sequence[int], seconds: float) -> dict[str, Cell]:
    every = [value for tally in tallies for value in tally.ms]
    steady = memory[int(len(memory) * WARM_UP) :]
    tenth = max(1, len(steady) // 10)
    first, last = statistics.fmean(steady[:tenth]), statistics.fmean(steady[-tenth:])
    return {
        "answers": len(every),
        WRONG: sum(tally.wrong + tally.sent - len(tally.ms) for tally in tallies),
        "answers/s": len(every) / seconds,
        "p50 ms": float(np.percentile(every, 50)),
        P99: float(np.percentile(every, 99)),
        "server memory MB": last / 1e6,
        GROWTH: last / first - 1,
        "largest / after warm-up": max(steady) / first,
    }


def _watch(server: Served, until: float, memory: list[int]) -> None:
    while time.perf_counter() < until:
        memory.append(server.rss_bytes)
        time.sleep(0.25)


def _client(pair: Pair, address: str, first: int, until: float) -> Tally:
    """Send until the time is over, then take what is still on its way."""
    tally, window, sent_at = Tally(), threading.Semaphore(WINDOW), {}

    def requests() -> Iterator[object]:
        for number in itertools.count():
            window.acquire()
            if time.perf_counter() > until:
                return
            sent_at[number], tally.sent = time.perf_counter(), number + 1
            packet = pair.packets[(first + number) % len(pair.packets)]
            yield protocol.packet_request(pair.bundle.name, pair.bundle.pair_id, str(number), packet)

    channel = Remote(address).open()
    for reply in channel.stream(requests()):
        number = int(reply.infer_response.id)
        tally.ms.append((time.perf_counter() - sent_at.pop(number)) * 1e3)
        want = pair.expected[(first + number) % len(pair.packets)]
        tally.wrong += bool(reply.error_message) or not _is_same(pair, reply.infer_response, want)
        window.release()
    channel.close()
    return tally


def _is_same(pair: Pair, reply: object, want: Mapping[str, Array]) -> bool:
    specs = [TensorSpec(name=name, dtype=str(array.dtype), shape=array.shape) for name, array in want.items()]
    got = protocol.outputs_of(reply, specs)
    return all(np.abs(got[name] - want[name]).max() <= TOLERANCE * np.abs(want[name]).max() for name in want)
