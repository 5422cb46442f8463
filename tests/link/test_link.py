"""The emulated links do what their numbers say."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from deadline import end, first_line
from namespaces import CLOUD_ADDRESS, Namespaces, has_netem, namespaces, netem_namespaces, why_not
from shaping import LinkSpec, Shaper
from tcp_relay import tcp_relay

from splitc.device import Link, read_trace

TALK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as one:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begun = time.perf_counter(); one.sendall(b'x'); one.recv(1); first = time.perf_counter() - begun
    begun = time.perf_counter(); one.sendall(b'y' * int(sys.argv[3])); one.shutdown(socket.SHUT_WR); one.recv(1)
    print(first, time.perf_counter() - begun)
"""
LISTEN = """
import socket
with socket.create_server(('0.0.0.0', 9)) as server:
    print('ready', flush=True)
    one, _ = server.accept(); one.sendall(one.recv(1))
    while one.recv(1 << 16): pass
    one.sendall(b'z')
"""


def test_a_packet_waits_for_those_before_it() -> None:
    shaper = Shaper(LinkSpec(mbps=8, delay_ms=10), seed=0)
    assert [shaper.leave_s(0.0, 1000) for _ in range(3)] == pytest.approx([0.011, 0.012, 0.013])
    assert shaper.leave_s(5.0, 1000) == pytest.approx(5.011)


def test_a_full_queue_drops() -> None:
    shaper = Shaper(LinkSpec(mbps=0.8), seed=0)
    passed = sum(shaper.leave_s(0.0, 1000) is not None for _ in range(100))
    assert 20 <= passed <= 21  # 0.2 s of 10 ms each, and the one that leaves at once
    assert shaper.dropped == 100 - passed


def test_jitter_keeps_the_order_and_losses_their_share() -> None:
    shaper = Shaper(LinkSpec(jitter_ms=20, loss=0.1), seed=0)
    times = [shaper.leave_s(index / 1e3, 100) for index in range(2000)]
    assert times == sorted(times)
    assert max(late - index / 1e3 for index, late in enumerate(times)) <= 0.0201
    assert sum(shaper.is_lost() for _ in range(2000)) == pytest.approx(200, abs=60)  # 4.5 standard deviations


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("seconds,uplink_mbps\n0,8\n1,0\n2,0.8\n")
    trace = read_trace(tmp_path / "x.csv", Link(uplink_mbps=1))
    shaper = Shaper(LinkSpec(trace=trace), seed=0, start_s=100.0)
    assert shaper.leave_s(100.0, 1000) == pytest.approx(100.001)
    assert shaper.leave_s(101.5, 1000) == pytest.approx(102.010)  # waits for the outage's end


def answer(server: socket.socket) -> None:
    server.settimeout(30)
    one, _ = server.accept()
    with one:
        one.settimeout(30)
        one.sendall(one.recv(1))
        while one.recv(1 << 16):
            pass
        one.sendall(b"z")


def test_a_tcp_relay_delays_and_limits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        target = f"127.0.0.1:{server.getsockname()[1]}"
        with tcp_relay(target, LinkSpec(mbps=8, delay_ms=20)) as address:
            host, port = address.split(":")
            done = subprocess.run(
                [sys.executable, "-c", TALK, host, port, "300000"], capture_output=True, text=True, timeout=30
            )
    first, whole = map(float, done.stdout.split())
    assert 0.04 <= first < 1.0
    assert 0.3 <= whole < 3.0  # 300 kB at 8 Mbit/s, and a busy machine


@pytest.mark.parametrize("joined", [namespaces, netem_namespaces])
def test_namespaces_delay_limit_and_lose(joined: Callable[..., AbstractContextManager[Namespaces]]) -> None:
    """Nothing is faster than the link allows; a twentieth of the packets vanish and TCP mends it."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    if joined is netem_namespaces and not has_netem():
        pytest.skip("this kernel has no netem")
    with joined(8, 20, loss=0.05) as link:
        server = subprocess.Popen([*link.cloud, sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True)
        try:
            assert first_line(server) == "ready\n"
            begun = time.monotonic()
            done = subprocess.run(
                [*link.edge, sys.executable, "-c", TALK, CLOUD_ADDRESS, "9", "300000"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            lost = subprocess.run(
                [*link.edge, "nstat", "-asz", "TcpRetransSegs"], capture_output=True, text=True, timeout=60
            ).stdout
        finally:
            end(server)
    first, whole = map(float, done.stdout.split())
    assert first >= 0.04
    assert whole >= 0.29  # less what the bucket holds
    assert time.monotonic() - begun < 60
    if "TcpRetransSegs" in lost:
        assert int(float(lost.split("TcpRetransSegs")[1].split()[0])) > 0
