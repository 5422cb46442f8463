"""A connection to a server: open it, compare pair ids, stream packets."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc import service_pb2_grpc as oip_grpc

from splitc.errors import RemoteError
from splitc.files import memory_budget
from splitc.runtime import protocol
from splitc.runtime.address import is_loopback
from splitc.runtime.client.outbox import Greeting
from splitc.runtime.names import model_of_pair
from splitc.runtime.security import TlsFiles, refuse_plain_text

HANDSHAKE_S = 10.0
PING_MS, PING_TIMEOUT_MS = 10_000, 5_000
TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
}
"""Another try may succeed: the server is away, or a message was damaged on its way."""
MOST_COUNTED = (1 << 31) - 1
"""Bytes of a message, in gRPC's options."""
BUSY = {grpc.StatusCode.RESOURCE_EXHAUSTED}


PAIR_HEADER = "splitc-pair"
"""Metadata of every call: 12 digits of the pair id, for balancers that send each build to its servers."""
LEAVE_S = 1.0
"""For a server to take the end of the stream's sequences."""
ITSELF = "splitc"
"""Platform of a model of ``splitc serve``, which forgets a stream when it ends."""


class LostConnectionError(Exception):
    """The server cannot be reached now; a retry may succeed."""


class ForeignPairError(LostConnectionError):
    """Another build of the bundle is served there; behind a balancer, a retry may meet the right one."""


@dataclass(frozen=True)
class Remote:
    """Where the cloud half is served.

    Attributes:
        address: ``HOST:PORT`` or ``unix:PATH``.
        tls: Certificates; without any, plain text.
        token: Bearer token.
        allow_plain_text: Allow an unencrypted connection to another machine.

    Raises:
        UsageError: Plain text would leave this machine.
    """

    address: str
    tls: TlsFiles = field(default_factory=TlsFiles)
    token: str | None = None
    allow_plain_text: bool = False

    def __post_init__(self) -> None:
        is_encrypted = self.tls.channel_credentials() is not None
        refuse_plain_text(self.address, is_encrypted, self.allow_plain_text)

    def open(self) -> Channel:
        """A channel that connects when it is first used."""
        credentials = self.tls.channel_credentials()
        options = [
            ("grpc.max_receive_message_length", _most_received()),
            ("grpc.max_send_message_length", -1),  # the server says what it takes
            ("grpc.keepalive_time_ms", PING_MS),
            ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
            ("grpc.enable_retries", 0),  # a frame is sent again by its outbox, which knows about keyframes
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", int(not is_loopback(self.address))),  # a proxy elsewhere cannot reach it
        ]
        channel = (
            grpc.secure_channel(self.address, credentials, options)
            if credentials
            else grpc.insecure_channel(self.address, options)
        )
        metadata = [("authorization", f"Bearer {self.token}")] if self.token else []
        return Channel(self.address, channel, metadata)


class Channel:
    """One connection; a failure is either a lost connection or a refusal."""

    def __init__(self, address: str, channel: grpc.Channel, metadata: list[tuple[str, str]]) -> None:
        self._address, self._channel, self._metadata = address, channel, metadata
        self._stub = oip_grpc.GRPCInferenceServiceStub(channel)
        self._calls: list[Any] = []
        self._routing: list[tuple[str, str]] = []

    def check_pair(self, model: str, pair_id: str, timeout_s: float = HANDSHAKE_S) -> Greeting:
        """Compare pair ids before the first packet.

        Where the bundle's name stands for another build, or for none, the build is asked for by its own name.

        Args:
            model: Name of the bundle.
            pair_id: 64 hexadecimal digits.
            timeout_s: For connecting and every answer together.

        Raises:
            ForeignPairError: No such bundle there, or the half of another pair; both ids are named.
            RemoteError: The server refuses.
            LostConnectionError: No answer.
        """
        if not self._routing:
            self._routing = [(PAIR_HEADER, pair_id[:12])]
        foreign, end_s = None, time.monotonic() + timeout_s
        for name in (model, model_of_pair(model, pair_id), model):  # each call may go to another server
            try:
                return self._greeting(name, pair_id, max(0.0, end_s - time.monotonic()))
            except ForeignPairError as error:
                foreign = foreign or error
            except LostConnectionError:
                if foreign is None:
                    raise
                break
        assert foreign is not None
        raise foreign

    def _greeting(self, model: str, pair_id: str, timeout_s: float) -> Greeting:
        request = oip.ModelConfigRequest(name=model)
        try:
            reply = self._stub.ModelConfig(request, metadata=self._metadata + self._routing, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._translated(error) from error
        if reply is None:  # a status of success, and no message before it
            raise RemoteError(f"{self._address}: answered without a message; is splitc serve running there?")
        theirs = protocol.shown(reply.config.parameters[protocol.PAIR_ID].string_value)
        if theirs != pair_id:
            raise ForeignPairError(
                f"serves {model!r} of pair {theirs[:12] or 'none'}, this edge half is of pair {pair_id[:12]}; use the "
                "two halves of one bundle."
            )
        return Greeting(model, reply.config.platform != ITSELF, protocol.largest_of(reply.config))

    def skip_a_turn(self, timeout_s: float) -> None:
        """One call for nothing: behind a balancer that takes strict turns, the next goes to another server."""
        with contextlib.suppress(grpc.RpcError):
            self._stub.ServerLive(oip.ServerLiveRequest(), metadata=self._metadata + self._routing, timeout=timeout_s)

    def stream(self, requests: Iterable[Any]) -> Iterator[Any]:
        """Replies in the order in which they arrive.

        Raises:
            RemoteError: The server refuses the whole stream.
            LostConnectionError: The connection broke, or the server has no room now.
        """
        call = self._stub.ModelStreamInfer(iter(requests), metadata=self._metadata + self._routing)
        self._calls.append(call)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._translated(error) from error

    def leave(self) -> None:
        """Wait a moment for streams whose requests have come to their end; what is still answered is let go."""
        for call in self._calls:
            timer = threading.Timer(LEAVE_S, call.cancel)
            timer.start()
            with contextlib.suppress(grpc.RpcError):
                for _ in call:
                    pass
            timer.cancel()

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def _translated(self, error: Any) -> Exception:
        code, details = error.code(), protocol.shown(error.details() or "no reason given")
        if protocol.is_too_large(details):
            return RemoteError(
                f"{self._address}: {details}; the server takes as much as its --max-message-bytes, this client "
                f"{_most_received()} bytes (splitc --max-memory)."
            )
        if code in TRANSIENT or code in BUSY or protocol.is_ending(details):
            return LostConnectionError(details)
        if code == grpc.StatusCode.NOT_FOUND:
            return ForeignPairError(f"{details} (not found)")
        return RemoteError(f"{self._address}: {details} ({code.name.lower().replace('_', ' ')})")


def _most_received() -> int:
    """Bytes of an answer: what any file may take, and what gRPC can count."""
    return min(memory_budget(), MOST_COUNTED)
