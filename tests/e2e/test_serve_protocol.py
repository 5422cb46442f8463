"""What stock clients of the protocol may ask besides an answer, and how a server ends: as Triton does both."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e_setting import SIDE

from splitc.bundle import open_bundle
from splitc.errors import UsageError
from splitc.runtime import EdgeHalf, Sample

grpc = pytest.importorskip("grpc", reason="needs splitc[serve]")
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

from raw_http2 import Connection
from serving import Loop, loop, serving, serving_on
from test_serve import certificate
from tritonclient.grpc import service_pb2 as oip
from tritonclient.utils import InferenceServerException

from splitc.runtime import protocol
from splitc.runtime.client import EdgeClient, Remote
from splitc.runtime.security import TlsFiles
from splitc.runtime.server import CloudServer, ServerOptions
from splitc.runtime.server.connection import HEALTH_AHEAD


def request(bundle: Path) -> Any:
    opened = open_bundle(bundle)
    half, image = EdgeHalf(opened), np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    packet = half.encode(half.symbols({"image": image}))
    return protocol.packet_request(opened.name, opened.pair_id, "7", packet)


@pytest.fixture(scope="module")
def served(bundle: Path) -> Iterator[str]:
    with serving([bundle]) as (address, _):
        yield address


def asked(address: str, message: Any, method: str = "ModelInfer") -> Any:
    reply = {"ModelInfer": oip.ModelInferResponse, "ModelStatistics": oip.ModelStatisticsResponse}[method]
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        ask = channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}", lambda one: one.SerializeToString(), reply.FromString
        )
        return ask(message, timeout=20)


Change = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        pytest.param(lambda one: setattr(one, "model_version", "2"), "NOT_FOUND", "has no version '2'", id="version"),
        pytest.param(lambda one: setattr(one, "model_name", "x"), "NOT_FOUND", "no bundle 'x'", id="model"),
        pytest.param(lambda one: one.outputs.add(name="x"), "INVALID_ARGUMENT", "unexpected output 'x'", id="output"),
        pytest.param(
            lambda one: one.outputs.extend([_output("logits")] * 2), "INVALID_ARGUMENT", "twice", id="output-twice"
        ),
        pytest.param(
            lambda one: one.outputs.append(_output("logits", "classification")),
            "INVALID_ARGUMENT",
            "classification is not supported",
            id="classes",
        ),
        pytest.param(
            lambda one: one.outputs.append(_output("logits", "shared_memory_region")),
            "INVALID_ARGUMENT",
            "shared_memory_region is not supported",
            id="shared-memory",
        ),
        pytest.param(lambda one: _parameter(one, "triton_x"), "INVALID_ARGUMENT", "are reserved", id="reserved"),
    ],
)
def test_what_is_not_there_is_refused(bundle: Path, served: str, change: Change, code: str, message: str) -> None:
    one = request(bundle)
    change(one)
    with pytest.raises(grpc.RpcError) as caught:
        asked(served, one)
    assert caught.value.code().name == code
    assert message in caught.value.details()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda one: setattr(one, "model_version", "1"), id="version"),
        pytest.param(lambda one: one.outputs.add(name="logits"), id="output"),
        pytest.param(lambda one: _parameter(one, "priority"), id="priority"),
        pytest.param(lambda one: _parameter(one, "my_own"), id="custom"),
        pytest.param(lambda one: _parameter(one, "triton_enable_empty_final_response"), id="final"),
    ],
)
def test_what_triton_takes_is_taken(bundle: Path, served: str, change: Change) -> None:
    one = request(bundle)
    change(one)
    assert [output.name for output in asked(served, one).outputs] == ["logits"]


def _output(name: str, parameter: str | None = None) -> Any:
    output = oip.ModelInferRequest.InferRequestedOutputTensor(name=name)
    if parameter:
        output.parameters[parameter].int64_param = 1
    return output


def _parameter(one: Any, name: str) -> None:
    one.parameters[name].int64_param = 1


def test_statistics_count_answers_and_failures(bundle: Path) -> None:
    with serving([bundle]) as (address, _):
        one, bad = request(bundle), request(bundle)
        bad.raw_input_contents[0] = bad.raw_input_contents[0][:-1]
        bad.inputs[0].shape[0] -= 1
        for _ in range(3):
            asked(address, one)
        with pytest.raises(grpc.RpcError):
            asked(address, bad)
        for name in ("", "tiny"):
            (stats,) = asked(address, oip.ModelStatisticsRequest(name=name), "ModelStatistics").model_stats
            assert (stats.name, stats.version, stats.inference_count) == ("tiny", "1", 3)
            assert (stats.inference_stats.success.count, stats.inference_stats.fail.count) == (3, 1)
            assert stats.inference_stats.compute_infer.ns > 0
        with pytest.raises(grpc.RpcError, match="no bundle 'x'"):
            asked(address, oip.ModelStatisticsRequest(name="x"), "ModelStatistics")
        with stock.InferenceServerClient(address) as client:
            assert "statistics" in client.get_server_metadata().extensions
            assert client.get_inference_statistics("tiny").model_stats[0].inference_count == 3


def test_every_answer_of_a_stream_is_the_final_one(bundle: Path, served: str) -> None:
    channel = Remote(served).open()
    (reply,) = channel.stream([request(bundle)])
    channel.close()
    assert reply.infer_response.parameters["triton_final_response"].bool_param


def test_a_drain_ends_streams_with_unavailable(bundle: Path) -> None:
    """What was sent is answered; then the client is told to go elsewhere."""
    over, got = threading.Event(), list[Any]()

    def requests() -> Iterator[bytes]:
        yield request(bundle).SerializeToString()
        over.wait(30)

    with loop() as thread:
        with serving_on(thread, [bundle]) as (address, _server):
            channel = grpc.insecure_channel(address)
            replies = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer", bytes, bytes)(
                requests()
            )
            got.append(next(replies))
        with pytest.raises(grpc.RpcError) as caught:
            next(replies)
        over.set()
        channel.close()
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "this server is ending" in caught.value.details()
    assert len(got) == 1


def test_a_proxy_never_sees_this_machine(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with serving([bundle]) as (address, _):
        channel = Remote(address).open()
        channel.check_pair("tiny", open_bundle(bundle).pair_id, 10)
        channel.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_address_is_taken_once(bundle: Path, tmp_path: Path, kind: str) -> None:
    listen = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/s"
    with serving([bundle], listen=listen) as (address, _):
        with (
            pytest.raises(UsageError, match=r"(cannot listen|another server listens) there"),
            serving([bundle], listen=address),
        ):
            pass
        channel = Remote(address).open()
        channel.check_pair("tiny", open_bundle(bundle).pair_id, 10)
        channel.close()
    assert not (tmp_path / "s").exists()


# -- connections -------------------------------------------------------------------------------------------------------


def closed_in_time(line: Connection, seconds: float = 8.0) -> bool:
    return not line.is_open(seconds)


def test_every_phase_of_a_stranger_has_its_time(bundle: Path) -> None:
    with serving([bundle], greet_s=0.6, tokens=("a-token-for-tests-1",)) as (address, server):
        silent, half, greeted = (
            Connection(address, greets=False),
            Connection(address, greets=False),
            Connection(address),
        )
        half.send(b"PRI * HTTP/2.0\r\n")
        assert all(closed_in_time(line) for line in (silent, half, greeted))
        assert server.metrics.totals()["closed_connections silent"] == 3
        for line in (silent, half, greeted):
            line.close()


def test_every_phase_of_tls_has_its_time(bundle: Path, tmp_path: Path) -> None:
    files = certificate(tmp_path / "good", 30)
    with serving([bundle], greet_s=0.6, tls=TlsFiles(files.cert, files.key)) as (address, server):
        begun, plain = Connection(address, greets=False), Connection(address)
        begun.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))  # a hello without its end
        context = ssl.create_default_context(cafile=str(files.ca))
        context.set_alpn_protocols(["h2"])
        greeted = context.wrap_socket(Connection(address, greets=False).socket, server_hostname="127.0.0.1")
        greeted.settimeout(8)
        assert closed_in_time(begun)
        assert closed_in_time(plain)
        with closing(greeted):
            while greeted.recv(4096):  # settings, then the end
                pass
        assert server.metrics.totals()["closed_connections foreign"] == 1
        assert server.metrics.totals()["closed_connections silent"] == 2
        client = EdgeClient(open_bundle(bundle), Remote(address, TlsFiles(ca=files.ca)))
        frame = Sample("f", {"image": np.zeros((1, 3, SIDE, SIDE), np.float32)})
        assert len(list(client.run([frame]))) == 1
        begun.close(), plain.close()


def test_connections_without_calls_make_room(bundle: Path) -> None:
    """One client with many of them keeps nobody out."""
    with serving([bundle], max_connections=4) as (address, server), ExitStack() as ending:
        alone = [("grpc.use_local_subchannel_pool", 1)]  # else they share one connection
        clients = [ending.enter_context(stock.InferenceServerClient(address, channel_args=alone)) for _ in range(8)]
        assert all(client.is_model_ready("tiny") for client in clients)
        assert server.metrics.totals()["closed_connections crowded"] == 4
        assert clients[0].is_model_ready("tiny"), "it connects again"


def test_a_load_balancer_may_ask_for_ever(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is a stranger's all the time; one that asks without pause is no load balancer."""
    monkeypatch.setattr("splitc.runtime.server.connection.HEALTH_S", 0.005)
    monkeypatch.setattr("splitc.runtime.server.connection.STRANGER_BYTES", (2000, 2000))
    with serving([bundle], greet_s=2.0, tokens=("a-token-for-tests-1",)) as (address, server):
        with stock.InferenceServerClient(address) as client:
            for _ in range(100):
                assert client.is_server_ready(client_timeout=10)
                time.sleep(0.01)
        assert "closed_connections silent" not in server.metrics.totals()


def test_a_connection_that_asks_for_health_without_pause_is_closed(bundle: Path) -> None:
    with serving([bundle], tokens=("a-token-for-tests-1",)) as (address, server):
        alone = [("grpc.use_local_subchannel_pool", 1)]
        with stock.InferenceServerClient(address, channel_args=alone) as client:
            for _ in range(3 * HEALTH_AHEAD):
                with suppress(InferenceServerException):
                    client.is_server_live(client_timeout=10)
        assert server.metrics.totals()["closed_connections refused"] >= 1


def test_a_message_has_its_time(bundle: Path) -> None:
    """A client that may call does not hold a place with a message that never ends."""
    with serving([bundle], stall_s=0.5) as (address, _):
        over = threading.Event()

        def never() -> Iterator[bytes]:
            over.wait(20)
            yield b""

        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            ask = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer", bytes, bytes)
            with pytest.raises(grpc.RpcError, match="the message did not arrive in time"):
                ask(never(), timeout=15)
            over.set()


def test_a_connection_without_calls_is_closed(bundle: Path) -> None:
    with serving([bundle], idle_s=0.5) as (address, server), stock.InferenceServerClient(address) as client:
        assert client.is_model_ready("tiny")
        deadline = time.monotonic() + 15
        while "closed_connections idle" not in server.metrics.totals() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.metrics.totals()["closed_connections idle"] == 1
        assert client.is_model_ready("tiny"), "it connects again"


def test_a_message_larger_than_any_packet_is_refused(bundle: Path) -> None:
    with serving([bundle]) as (address, server):
        one = request(bundle)
        one.raw_input_contents[0] = bytes(server.max_message_bytes)
        with pytest.raises(grpc.RpcError) as caught:
            asked(address, one)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_packet_that_needs_too_much_memory_is_refused_with_the_flag_that_helps(bundle: Path) -> None:
    with serving([bundle], max_memory_mb=16, max_batch=1024, max_message_bytes=1 << 20) as (address, _):
        opened, image = open_bundle(bundle), np.zeros((1000, 3, SIDE, SIDE), np.float32)
        half = EdgeHalf(opened)
        packet = half.encode(half.symbols({"image": image}))
        with pytest.raises(grpc.RpcError, match="--max-memory-mb"):
            asked(address, protocol.packet_request(opened.name, opened.pair_id, "1", packet))


# -- pages -------------------------------------------------------------------------------------------------------------


def pages(thread: Loop, server: CloudServer, **how: Any) -> str:
    return str(thread.run(server.listen_for_metrics("127.0.0.1:0", **how)))


def get(address: str, path: str, method: str = "GET", context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    kind = http.client.HTTPSConnection if context else http.client.HTTPConnection
    with closing(kind(address, timeout=10, **({"context": context} if context else {}))) as line:
        line.request(method, path)
        reply = line.getresponse()
        return reply.status, reply.read()


def test_metrics_and_health_over_http(bundle: Path) -> None:
    with loop() as thread, serving_on(thread, [bundle]) as (_, server):
        address = pages(thread, server)
        assert get(address, "/v2/health/live") == (200, b"live\n")
        assert get(address, "/v2/health/ready")[0] == 200
        assert get(address, "/metrics")[1].startswith(b"# HELP splitc_")
        assert get(address, "/metrics", "HEAD") == (200, b"")
        assert get(address, "/metrics", "POST")[0] == 405
        assert get(address, "/etc/passwd")[0] == 404
        server._service.is_ready = False
        assert get(address, "/v2/health/ready")[0] == 503


def test_metrics_obey_the_rules_of_addresses(bundle: Path) -> None:
    with loop() as thread, serving_on(thread, [bundle]) as (_, server):
        for address, message in (("0.0.0.0:0", "unencrypted"), ("nonsense", "is not HOST:PORT")):
            with pytest.raises(UsageError, match=message):
                thread.run(server.listen_for_metrics(address))
        taken = pages(thread, server)
        with pytest.raises(UsageError, match="cannot listen there"):
            thread.run(server.listen_for_metrics(taken))


def test_metrics_are_encrypted_where_serving_is(bundle: Path, tmp_path: Path) -> None:
    files = certificate(tmp_path / "good", 30)
    with loop() as thread, serving_on(thread, [bundle], tls=files) as (_, server):
        address = pages(thread, server, tls=files)
        with pytest.raises((http.client.HTTPException, ConnectionError, ssl.SSLError)):
            get(address, "/metrics")
        context = ssl.create_default_context(cafile=str(files.ca))
        with pytest.raises((http.client.HTTPException, ConnectionError, ssl.SSLError)):
            get(address, "/metrics", context=context)  # shows no certificate
        context.load_cert_chain(files.cert, files.key)
        assert get(address, "/metrics", context=context)[0] == 200


def test_the_pages_have_few_places_and_little_time(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitc.runtime.server.pages.REQUEST_S", 0.5)
    with loop() as thread, serving_on(thread, [bundle]) as (_, server):
        address = pages(thread, server)
        lines = [Connection(address, greets=False) for _ in range(40)]
        lines[0].send(b"GET /metrics HTTP/1.1\r\nX: ")
        assert all(closed_in_time(line) for line in lines)
        big = Connection(address, greets=False)
        big.send(b"GET /" + b"x" * 100_000)
        assert closed_in_time(big)
        assert get(address, "/metrics")[0] == 200
        for line in (*lines, big):
            line.close()


def test_a_server_can_be_made_without_listening(bundle: Path) -> None:
    with loop() as thread:

        async def run() -> None:
            await CloudServer([open_bundle(bundle)], ServerOptions()).drain()

        thread.run(run())


def test_a_stock_client_is_told_of_a_refusal(bundle: Path, served: str) -> None:
    with stock.InferenceServerClient(served) as client:
        with pytest.raises(InferenceServerException, match="has no version"):
            client.get_model_metadata("tiny", model_version="9")
        assert not client.is_model_ready("tiny", model_version="9")
        assert not client.is_model_ready("x")


def test_unix_sockets_are_served(bundle: Path, tmp_path: Path) -> None:
    with serving([bundle], listen=f"unix:{tmp_path}/s") as (address, _):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(address.removeprefix("unix:"))
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert line.recv(10) == b""
        channel = Remote(address).open()
        (reply,) = channel.stream([request(bundle)])
        channel.close()
        assert reply.infer_response.id == "7"
