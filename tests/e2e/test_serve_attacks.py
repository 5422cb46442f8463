"""A server with hostile neighbours: whoever has a token is answered, and memory stays within what was said."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

grpc = pytest.importorskip("grpc", reason="needs splitc[serve]")

from attackers import MEMBERS, STRANGERS
from raw_http2 import DATA, Connection, begun_message, call, frame
from served_process import (
    OTHER_TOKEN,
    TOKEN,
    Holder,
    ServedProcess,
    ask_raw,
    attacked,
    counted,
    packet_of_rows,
    read_log,
    served,
)

ASKED = 100
MEMORY_MB = 64
BUDGET = 1.1
"""The stated memory and a tenth."""
TIMES, LEAST_MS, TRIES = 3.0, 100.0, 3
"""The 99th percentile beside an attack against that of the stretch right before, which saw the same machine.

Of a hundred calls it is the second slowest: where attackers and other jobs share the server's cores, the kernel alone
makes one of 50 to 100 ms, so less says nothing. What an attack does to the server it does every time, what other jobs
do they do now and then: the best of three tries counts. Refusals and memory count in every try. Longer stretches, on a
machine of one's own and against the ratio alone: ``tests/bench/runtime.py --only attack``."""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"{TOKEN}\n{OTHER_TOKEN}\n")
    return path


@pytest.fixture(scope="module")
def server(bundle: Path, tokens: Path) -> Iterator[ServedProcess]:
    with served([bundle], "--token-file", str(tokens), "--max-memory-mb", str(MEMORY_MB), "--greet-s", "2") as one:
        yield one


class Watched:
    """The largest memory of a server, while the block runs."""

    def __init__(self, server: ServedProcess) -> None:
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most_mb = 0.0

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.most_mb = max(self.most_mb, self._server.rss_mb)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def p99_ms(holder: Holder) -> float:
    """Of a stretch of calls."""
    holder.ms.clear()
    holder.ask(ASKED)
    return float(np.percentile(holder.ms, 99))


def assert_kept_in_time(holder: Holder, attack: Callable[[], AbstractContextManager[None]]) -> None:
    """In one of the tries, beside an attack that has begun."""
    seen = []
    for _ in range(TRIES):
        idle_ms = p99_ms(holder)
        with attack():
            seen.append((idle_ms, p99_ms(holder)))
        if seen[-1][1] <= max(TIMES * idle_ms, LEAST_MS):
            print("p99 ms, before and beside:", *(f"{idle:.0f} {hit:.0f}" for idle, hit in seen))
            return
    pytest.fail(f"p99 in ms, before and beside the attack, of each try: {seen}")


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_keep_nobody_out(bundle: Path, server: ServedProcess, name: str) -> None:
    """A client that is connected, and one that comes, are answered beside any attack of callers without a token."""
    holder = Holder(bundle, server.address)
    with Watched(server) as watched:
        assert_kept_in_time(holder, lambda: attacked(name, server.address, 60))
        with attacked(name, server.address, 60):
            newcomer = Holder(bundle, server.address)
            newcomer.ask(5)
    for one in (holder, newcomer):
        one.close()
    assert watched.most_mb <= BUDGET * server.document["max_memory_mb"]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_who_means_harm_keeps_nobody_out(bundle: Path, server: ServedProcess, name: str) -> None:
    """A valid token buys one client's share, in messages, memory and runs."""
    holder, message = Holder(bundle, server.address), packet_of_rows(bundle, 8)
    with Watched(server) as watched:
        assert_kept_in_time(holder, lambda: attacked(name, server.address, 60, OTHER_TOKEN, message))
    holder.close()
    assert watched.most_mb <= BUDGET * server.document["max_memory_mb"]


def test_a_packet_of_many_samples_is_refused_before_it_is_decoded(bundle: Path, server: ServedProcess) -> None:
    """One megabyte that was 17 s of work, and gigabytes."""
    message, begun = packet_of_rows(bundle, 20_000)[:60_000], time.monotonic()
    assert ask_raw(server.address, message, token=TOKEN) == grpc.StatusCode.INVALID_ARGUMENT  # a damaged message
    for rows, code in ((8, "OK"), (9, "INVALID_ARGUMENT"), (200, "INVALID_ARGUMENT")):
        assert ask_raw(server.address, packet_of_rows(bundle, rows), token=TOKEN).name == code
    assert time.monotonic() - begun < 20


def test_a_message_is_not_read_before_the_caller_is_known(server: ServedProcess) -> None:
    """The refusal comes while the message is still on its way."""
    line = Connection(server.address)
    line.send(call(1, "ModelInfer") + frame(DATA, 0, 1, begun_message(1 << 20) + bytes(100)))
    line.socket.settimeout(5)
    said = b""
    while b"token-file" not in said:
        said += line.socket.recv(65536)
    line.close()


def test_attackers_are_counted(bundle: Path, tokens: Path) -> None:
    with served([bundle], "--token-file", str(tokens), "--greet-s", "0.5") as server:
        silent, foreign = Connection(server.address, greets=False), Connection(server.address, greets=False)
        foreign.send(b"GET / HTTP/1.1\r\n\r\n")
        assert ask_raw(server.address, b"") == grpc.StatusCode.UNAUTHENTICATED
        assert ask_raw(server.address, b"", "NoSuchMethod", TOKEN) == grpc.StatusCode.UNIMPLEMENTED
        assert not foreign.is_open(5)
        assert not silent.is_open(5)
        log = read_log(server)
    assert counted(log, "refused_calls token") == 1
    assert counted(log, "refused_calls no such method") == 1
    assert counted(log, "closed_connections foreign") == 1
    assert counted(log, "closed_connections silent") >= 1


FEW_FILES, SILENT = 64, 100


@pytest.mark.parametrize("files", [12, 40])
def test_too_few_open_files_is_one_sentence(bundle: Path, files: int) -> None:
    sentence = f"splitc: a pair over a network needs 64 open files, this process may have {files}: raise ulimit -n.$"
    with pytest.raises(RuntimeError, match=sentence), served([bundle], shell=f"ulimit -n {files}; exec"):
        pass


def test_with_few_open_files_silent_sockets_are_closed_and_clients_answered(bundle: Path) -> None:
    with served([bundle], "--greet-s", "1", shell=f"ulimit -n {FEW_FILES}; exec") as server:
        lines = []
        for _ in range(SILENT):
            lines.append(Connection(server.address, greets=False))
        holder = Holder(bundle, server.address, token=None)
        holder.ask(10)
        holder.close()
        assert not any(line.is_open(5) for line in lines)
        for line in lines:
            line.close()
        assert server.process.poll() is None
        read_log(server)
        assert server.process.returncode == 0


SLEEPING = """
import time
from splitc.runtime.pair import CloudHalf
from splitc.runtime.server.models import ServedModel
was = ServedModel._run
ServedModel.warm_up = lambda self: None
ServedModel._run = lambda self, feeds: time.sleep(120)
from splitc.cli import main; main()
"""
"""A server whose tail computes for two minutes, in code that cannot be interrupted."""


def test_the_drain_ends_whatever_runs(bundle: Path) -> None:
    with served([bundle], "--drain-s", "0.5", "--max-batch", "1", program=SLEEPING) as server:
        holder = Holder(bundle, server.address, token=None)
        asking = threading.Thread(target=_ask_in_vain, args=(holder,))
        asking.start()
        time.sleep(1.0)
        begun = time.monotonic()
        log = read_log(server)
        assert server.process.returncode == 0
        assert time.monotonic() - begun < 15
        asking.join(30)
        holder.close()
    assert "a run was still going on 2.5 s after the signal" in log


def _ask_in_vain(holder: Holder) -> None:
    with pytest.raises(grpc.RpcError):
        holder.ask(1, timeout_s=60)


CLIENTS, HOSTILE = 64, ("unfinished_calls", "costly_packets", "resets")
"""Three of 64 mean harm: 5 %."""
SECONDS = float(os.environ.get("SPLITC_MIXED_SECONDS", "60"))
"""Ten minutes to be thorough."""
STEADY, LEAST_OF = 0.05, 10
"""What stays of memory: the 10th percentile of a quarter of the time, which a leak raises. What is open then, hundreds
of calls of 7 kB more or less, comes and goes, and has the stated bound."""
STEADY_MB = 8.0 if SECONDS < 300 else 0.0
"""A short run ends while the process still warms up: its allocators keep as much."""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
def test_mixed_clients_lose_nothing(bundle: Path, tokens: Path) -> None:
    """64 clients, 5 % of them hostile: nothing lost, swapped or leaked."""
    with served([bundle], "--token-file", str(tokens), "--max-memory-mb", str(MEMORY_MB)) as server:
        over, faults, memory = time.monotonic() + SECONDS, list[BaseException](), list[float]()
        holders = [Holder(bundle, server.address) for _ in range(CLIENTS - len(HOSTILE))]
        threads = [threading.Thread(target=_ask_until, args=(holder, over, faults)) for holder in holders]
        with (
            attacked(HOSTILE[0], server.address, SECONDS),
            attacked(HOSTILE[1], server.address, SECONDS, OTHER_TOKEN, packet_of_rows(bundle, 8)),
            attacked(HOSTILE[2], server.address, SECONDS),
        ):
            for thread in threads:
                thread.start()
            while time.monotonic() < over:
                memory.append(server.rss_mb)
                time.sleep(0.25)
            for thread in threads:
                thread.join(60)
        for holder in holders:
            holder.close()
        assert not faults
        assert min(len(holder.ms) for holder in holders) > SECONDS / 10
        quarter = len(memory) // 4
        steady, last = (
            float(np.percentile(part, LEAST_OF)) for part in (memory[quarter : 2 * quarter], memory[-quarter:])
        )
        print(f"{sum(len(one.ms) for one in holders)} answers, {steady:.1f} -> {last:.1f} MB, most {max(memory):.1f}")
        assert abs(last - steady) <= max(STEADY * steady, STEADY_MB)
        assert max(memory) <= BUDGET * server.document["max_memory_mb"]


def _ask_until(holder: Holder, over: float, faults: list[BaseException]) -> None:
    try:
        while time.monotonic() < over:
            holder.ask(1)
            time.sleep(0.05)
    except BaseException as fault:
        faults.append(fault)
