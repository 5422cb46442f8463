"""Calls that no answer pays for are read no faster than a client may begin them, whatever it is that carries them."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import SIDE

pytest.importorskip("grpc", reason="needs splitc[serve]")
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

from raw_http2 import PREFACE, SETTINGS, Connection, call, frame
from serving import serving
from test_serve import certificate

from splitc.bundle import open_bundle
from splitc.runtime import EdgeHalf, Sample
from splitc.runtime.client import EdgeClient, Remote
from splitc.runtime.security import TlsFiles
from splitc.runtime.server.pace import CALLS_AHEAD

RATE, MORE = 50.0, 60
LEAST_S = (MORE - 10) / RATE
"""For so many calls beyond those at once; a few come back meanwhile."""
TOKEN, OTHER_TOKEN = "a-token-for-tests-1", "a-token-that-means-harm"


@pytest.fixture(scope="module", params=["plain", "tls"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles | None:
    return certificate(tmp_path_factory.mktemp("tls") / "files", 30) if request.param == "tls" else None


def options(files: TlsFiles | None) -> dict[str, object]:
    return {"ssl": True, "root_certificates": str(files.ca)} if files else {}


@pytest.mark.parametrize("count", [1, 4])
def test_connections_of_one_client_share_its_budget(bundle: Path, files: TlsFiles | None, count: int) -> None:
    tls = TlsFiles(files.cert, files.key) if files else None
    alone = [("grpc.use_local_subchannel_pool", 1)]
    said = {"authorization": f"Bearer {TOKEN}"}
    with (
        serving([bundle], call_rate=RATE, tokens=(TOKEN, OTHER_TOKEN), tls=tls) as (address, _),
        ExitStack() as ending,
    ):
        clients = [
            ending.enter_context(stock.InferenceServerClient(address, channel_args=alone, **options(files)))
            for _ in range(count)
        ]
        begun = time.monotonic()
        for number in range(int(CALLS_AHEAD) + MORE):
            assert clients[number % count].get_server_metadata(headers=said).name == "splitc"
        assert time.monotonic() - begun > LEAST_S
        remote = Remote(address, TlsFiles(ca=files.ca) if files else TlsFiles(), OTHER_TOKEN)
        samples = [Sample(f"f{index}", {"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}) for index in range(3)]
        assert len(list(EdgeClient(open_bundle(bundle), remote).run(samples))) == 3


def test_what_is_begun_beyond_the_budget_waits_at_the_gate(bundle: Path) -> None:
    """More calls than it has, in one piece: those within it end, the others are neither refused nor read.

    16 kB of them, less than 200 calls, pass before it is known whose they are.
    """
    with serving([bundle], call_rate=1 / 600) as (address, server), closing(Connection(address)) as line:
        line.send(b"".join(call(2 * number + 1, "NoSuchMethod") for number in range(2 * int(CALLS_AHEAD))))
        end = time.monotonic() + 20
        while server.metrics.totals().get("paced_reads", 0) < 1 and time.monotonic() < end:
            assert line.is_open(0.05)
        assert server.metrics.totals()["paced_reads"] == 1
        assert server.metrics.totals()["refused_calls no such method"] < 2 * CALLS_AHEAD


def test_who_hangs_up_on_open_calls_pays_for_them(bundle: Path) -> None:
    """As if they had been taken back: a second connection of the same client waits."""
    with serving([bundle], call_rate=1 / 600) as (address, server):
        with closing(Connection(address)) as line:
            line.send(b"".join(call(2 * number + 1) for number in range(60)))
            end = time.monotonic() + 20
            while b"splitc_streams 60.0" not in server.metrics.page() and time.monotonic() < end:
                assert line.is_open(0.05)
        while b"splitc_streams 0.0" not in server.metrics.page() and time.monotonic() < end:
            time.sleep(0.05)
        with closing(Connection(address)) as line:
            for stream, what in ((1, "refused_calls no such method"), (3, "paced_reads")):  # the first says who it is
                line.send(call(stream, "NoSuchMethod"))
                while what not in server.metrics.totals() and time.monotonic() < end:
                    assert line.is_open(0.05)
        assert server.metrics.totals()["paced_reads"] == 1
        assert server.metrics.totals()["refused_calls no such method"] == 1


def test_packets_are_answered_however_many(bundle: Path, files: TlsFiles | None) -> None:
    """With a rate that would let a call in ten minutes: answers pay for single calls and for streams."""
    tls, opened = TlsFiles(files.cert, files.key) if files else None, open_bundle(bundle)
    half = EdgeHalf(opened)
    packet = half.encode(half.symbols({"image": np.zeros((1, 3, SIDE, SIDE), np.float32)}))
    given = stock.InferInput("packet", [len(packet)], "UINT8")
    given.set_data_from_numpy(np.frombuffer(packet, np.uint8))
    with (
        serving([bundle], call_rate=1 / 600, tls=tls) as (address, server),
        stock.InferenceServerClient(address, **options(files)) as client,
    ):
        for _ in range(int(CALLS_AHEAD) + MORE):
            assert client.infer(opened.name, [given]).as_numpy("logits") is not None
        assert "paced_reads" not in server.metrics.totals()


def test_who_ends_tls_is_hung_up_on(bundle: Path, tmp_path: Path) -> None:
    """Whatever is sent after that would be kept, unread, as long as the connection."""
    files = certificate(tmp_path / "files", 30)
    trusting = ssl.create_default_context(cafile=str(files.ca))
    with (
        serving([bundle], tls=TlsFiles(files.cert, files.key)) as (address, _),
        closing(Connection(address, greets=False)) as line,
    ):
        inside = trusting.wrap_socket(line.socket, server_hostname="127.0.0.1")
        inside.settimeout(20)
        inside.sendall(PREFACE + frame(SETTINGS, 0, 0) + call(1))
        assert inside.recv(65536), "settings of gRPC"
        with suppress(ssl.SSLError):  # what gRPC said meanwhile
            inside.unwrap()
        line.socket = socket.socket(fileno=inside.detach())
        assert not line.is_open(20)


def test_refused_packets_of_a_stream_are_paid_for(bundle: Path) -> None:
    """As calls are: a stream of them is read no faster. About 16 of this size are inside before they are refused."""
    count, bad = int(CALLS_AHEAD) + 150, np.zeros(4096, np.uint8)
    given = stock.InferInput("packet", [bad.size], "UINT8")
    given.set_data_from_numpy(bad)
    faults: list[object] = []
    with serving([bundle], call_rate=2 * RATE) as (address, _), stock.InferenceServerClient(address) as client:
        begun = time.monotonic()
        client.start_stream(lambda result, error: faults.append(error))
        for _ in range(count):
            client.async_stream_infer(open_bundle(bundle).name, [given])
        while len(faults) < count:
            assert time.monotonic() - begun < 60
            time.sleep(0.05)
        client.stop_stream()
        assert time.monotonic() - begun > 0.7
    assert all(faults)
