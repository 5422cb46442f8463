"""What happens to servers and what bad clients do: nothing acknowledged is lost, others are still answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
from deadline import end, first_document
from e2e_setting import SIDE

from splitc.bundle import open_bundle
from splitc.errors import RemoteError
from splitc.runtime import CloudHalf, EdgeHalf, Sample, run_pair

grpc = pytest.importorskip("grpc", reason="needs splitc[serve]")

from serving import serving

from splitc.runtime import protocol
from splitc.runtime.client import ClientOptions, EdgeClient, Remote
from splitc.runtime.server import CloudServer

SERVE = [sys.executable, "-c", "from splitc.cli import main; main()", "serve"]


def samples(count: int) -> list[Sample]:
    images = np.random.default_rng(0).standard_normal((count, 1, 3, SIDE, SIDE)).astype(np.float32)
    return [Sample(f"f{index}", {"image": image}) for index, image in enumerate(images)]


def local(bundle: Path, frames: list[Sample]) -> list[np.ndarray]:
    opened = open_bundle(bundle)
    return [answer.outputs["logits"] for answer in run_pair(EdgeHalf(opened), CloudHalf(opened), frames)]


def asked(bundle: Path, address: str, frames: list[Sample]) -> list[np.ndarray]:
    client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=20))
    return [answer.outputs["logits"] for answer in client.run(iter(frames))]


def same(got: list[np.ndarray], want: list[np.ndarray]) -> bool:
    """Rows of a batch differ in the last bits."""
    return len(got) == len(want) and all(np.allclose(a, b, atol=1e-4) for a, b in zip(got, want, strict=True))


def started(process: subprocess.Popen[str]) -> str:
    """The address that a server of its own process says."""
    return first_document(process)["address"]


@contextlib.contextmanager
def serve(bundle: Path, listen: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, which ends with the block."""
    command = [*SERVE, str(bundle), "--listen", listen, *options, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        end(process)


def test_a_server_killed_and_started_again(bundle: Path) -> None:
    """SIGKILL in the middle: every frame is answered once, in order, and the same as in one process."""
    frames, got = samples(60), []
    with ExitStack() as ending:
        first = ending.enter_context(serve(bundle, "127.0.0.1:0", "--max-batch", "1"))
        address = started(first)
        client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=30))
        for answer in client.run(iter(frames)):
            got.append(answer)
            if len(got) == 20:
                first.kill()
                assert first.wait(10) == -signal.SIGKILL
                ending.enter_context(serve(bundle, address, "--max-batch", "1"))
    assert [answer.name for answer in got] == [frame.name for frame in frames]
    assert all(np.array_equal(a.outputs["logits"], b) for a, b in zip(got, local(bundle, frames), strict=True))
    assert client.counters.answered == 60
    assert client.counters.reconnected >= 1
    assert client.counters.sent_again >= 1


def flood(server_address: str, bundle: Path) -> tuple[object, Iterator[int]]:
    """A stream that sends for ever and never reads; how much it has sent."""
    opened, sent = open_bundle(bundle), itertools.count()
    half = EdgeHalf(opened)
    packet = half.encode(half.symbols(samples(1)[0].feeds))
    request = protocol.packet_request(opened.name, opened.pair_id, "x" * 50_000, packet).SerializeToString()

    def requests() -> Iterator[bytes]:
        while True:
            next(sent)
            yield request

    channel = grpc.insecure_channel(server_address, [("grpc.use_local_subchannel_pool", 1)])
    call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", bytes, bytes)(requests())
    return call, sent


def stopped(server: CloudServer, reason: str) -> int:
    return server.metrics.totals().get(f"stopped_streams {reason}", 0)


def streams(server: CloudServer) -> float | None:
    return server.metrics.registry.get_sample_value("splitc_streams")


def until(claim: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not claim() and time.monotonic() < end:
        time.sleep(0.05)
    return claim()


def test_a_client_that_never_reads_holds_up_itself_only(bundle: Path) -> None:
    """Its answers fill the window, then the server reads no more from it; soon its place is free for another."""
    frames = samples(20)
    with serving([bundle], stall_s=2.0, max_pending=4, max_streams=2) as (address, server):
        call, sent = flood(address, bundle)
        assert until(lambda: streams(server) == 1)
        assert same(asked(bundle, address, frames), local(bundle, frames))
        assert until(lambda: stopped(server, "unread") == 1)
        assert streams(server) == 0
        before = next(sent)
        time.sleep(0.3)
        assert next(sent) - before <= 2  # calls of next() here count too
        with pytest.raises(grpc.RpcError, match="answers were not read for too long"):
            for _ in call:
                pass


def has_stopped(sent: Iterator[int]) -> bool:
    before = next(sent)
    time.sleep(0.3)
    return next(sent) - before <= 1  # this call of next() counts too


def test_draining_does_not_wait_for_a_client_that_never_reads(bundle: Path) -> None:
    with serving([bundle], drain_s=0.5, max_pending=2) as (address, server):
        call, sent = flood(address, bundle)
        assert until(lambda: streams(server) == 1 and has_stopped(sent))
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    call.cancel()


def test_a_client_that_sends_nothing_loses_its_place(bundle: Path) -> None:
    """A stock stream is told so; the edge's own client opens another when it has a frame again."""
    frames = samples(4)

    def hesitant() -> Iterator[Sample]:
        yield from frames[:2]
        time.sleep(1.5)
        yield from frames[2:]

    with serving([bundle], idle_s=0.4, max_batch=1) as (address, server):
        client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=1.0))
        got = [answer.outputs["logits"] for answer in client.run(hesitant())]
        assert until(lambda: streams(server) == 0)
        assert stopped(server, "idle") >= 1
    assert all(np.array_equal(a, b) for a, b in zip(got, local(bundle, frames), strict=True))
    assert client.counters.reconnected >= 1


def test_a_server_that_takes_frames_and_answers_none_counts_as_away(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr("splitc.runtime.client.patience.LEAST_ANSWER_S", 0.3)
    monkeypatch.setattr("splitc.runtime.server.models.ServedModel.answer", never)
    with serving([bundle], drain_s=0.5) as (address, server):
        client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=0.8))
        with pytest.raises(RemoteError, match="it takes frames and answers none"):
            list(client.run(iter(samples(3))))
        assert client.counters.reconnected >= 2
        assert until(lambda: streams(server) == 0)
    assert until(lambda: not [one for one in threading.enumerate() if one.name in ("watch", "head")])


def test_a_refused_run_leaves_no_thread_behind(bundle: Path) -> None:
    """One that runs native code while the interpreter ends aborts the process."""

    def slowly() -> Iterator[Sample]:
        for sample in samples(4):
            yield sample
            time.sleep(0.4)

    with serving([bundle], tokens=("the-right-token-1",)) as (address, _):
        client = EdgeClient(open_bundle(bundle), Remote(address, token="x" * 20))
        with pytest.raises(RemoteError, match="no known bearer token"):
            list(client.run(slowly()))
        assert not [one for one in threading.enumerate() if one.name == "head"]


GARBAGE = {
    "noise": np.random.default_rng(0).bytes(100_000),
    "http1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100,
    "half-a-preface": b"PRI * HTTP/2.0\r\n\r\n",
    "frames-without-end": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 1000,
    "a-huge-frame": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"y" * 50_000,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_on_the_port(bundle: Path, kind: str) -> None:
    """Bytes that are no HTTP/2 end their own connection; those beside it are answered."""
    host, frames = "127.0.0.1", samples(6)
    with serving([bundle]) as (address, _), ExitStack() as ending:
        for _ in range(5):
            talker = ending.enter_context(closing(socket.create_connection((host, int(address.rpartition(":")[2])))))
            talker.settimeout(5)
            with suppress(OSError):  # hung up on already
                talker.sendall(GARBAGE[kind])
        assert same(asked(bundle, address, frames), local(bundle, frames))


NO_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from splitc.cli import main; main()
"""
"""Every write to a file fails, as on a full disk."""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_the_server(bundle: Path) -> None:
    """It serves, counts and drains: log lines that cannot be written are lost, answers are not."""
    frames = samples(10)
    words = [sys.executable, "-c", NO_ROOM, "serve", str(bundle), "--listen", "127.0.0.1:0"]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [*words, "--metrics", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, stderr=full, text=True
        )
    try:
        assert same(asked(bundle, started(process), frames), local(bundle, frames))
        process.terminate()
        assert process.wait(20) == 0
    finally:
        end(process)


def test_the_log_ends_with_what_was_counted(bundle: Path) -> None:
    with serve(bundle, "127.0.0.1:0") as process:
        asked(bundle, started(process), samples(3))
        process.terminate()
        assert "answers tiny answered 3" in process.communicate(timeout=20)[1]


def test_wrong_tokens_are_counted(bundle: Path) -> None:
    with serving([bundle], tokens=("the-right-token-1",)) as (address, server):
        for _ in range(3):
            with pytest.raises(RemoteError, match="no known bearer token"):
                list(EdgeClient(open_bundle(bundle), Remote(address, token="x" * 20)).run(iter(samples(1))))
        assert server.metrics.totals() == {"refused_calls token": 3}
