"""``splitc serve``: the cloud halves of bundles behind one port, in one process.

    clients ══► ConnectionGate (connections) ──► gRPC ──► Door (calls) ──► service (packets) ──► decode, batch, tail

Connections, calls and packets have their bounds each, and what is turned away is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from pydantic import Field

from splitc.bundle import Bundle
from splitc.errors import UsageError
from splitc.runtime import protocol
from splitc.runtime.names import model_of_pair
from splitc.runtime.process_limits import connections_that_fit, give_back_free_memory, resident_bytes
from splitc.runtime.security import TlsFiles, refuse_plain_text
from splitc.runtime.server.access import Admission, Rates
from splitc.runtime.server.calls import CallLimits, Door
from splitc.runtime.server.connection import BUFFER_BYTES, Connection
from splitc.runtime.server.gate import ConnectionGate, GateLimits
from splitc.runtime.server.listening import Listening, listen
from splitc.runtime.server.methods import Methods
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.models import ServedModel, Workers
from splitc.runtime.server.pages import Pages, pages_of
from splitc.runtime.server.private_folder import private_folder
from splitc.runtime.server.pulse import StreamLimits
from splitc.runtime.server.room import ONE_CLIENT, Room
from splitc.runtime.server.service import InferenceService
from splitc.runtime.server.turns import FairSlots
from splitc.runtime.server.work import PacketWork
from splitc.types import Frozen

HTTP2_PINGS_MS = 10_000
STRANGERS = 128
"""Connections at once without an admitted call, at most."""
PACKETS_A_BATCH = 8
"""One client may have work for so many batches in the server at once."""
LEAST_PACKETS = 64
CALLS_A_CONNECTION = 100
HEADERS_BYTES = 8 << 10
NO_MESSAGE_BYTES = 4 << 10
"""Least limit of a message: requests without a packet."""
MOST_S, MOST_A_SECOND = 1e6, 1e9
"""Of any option: eleven days, and more than there are."""
SOCKET_NAME = "s"
TRIM_S = 10.0
"""How often freed memory goes back: many short calls leave it in pieces, which look like a leak."""


class ServerOptions(Frozen):
    """Limits of a server.

    ``rate`` is in requests a second for each client, 0 for no limit; ``call_rate`` in calls a second that no answer to
    a packet pays for, and in refused packets, beyond 200 at once. A stream may have ``max_pending`` packets in work;
    beyond that, reading waits, and the client with it. A stream whose answers are not read for ``stall_s``, or on which
    nothing moves for ``idle_s``, ends and makes room. Beside streams, ``max_single`` single calls may be open at once.

    A packet holds at most ``max_batch`` samples. ``max_message_bytes`` is, where not given, what the bundles' largest
    packets of so many samples can need. Beyond the memory of the process after its start, messages being received and
    packets in work take at most ``max_memory_mb`` (2**20 bytes each), half each. A connection has ``greet_s`` for its
    first admitted call.
    """

    max_batch: int = Field(8, ge=1, le=1024)
    max_delay_ms: float = Field(0.0, ge=0, le=1000)
    max_message_bytes: int | None = Field(None, ge=1024, le=protocol.MAX_MESSAGE_BYTES)
    max_memory_mb: int = Field(1024, ge=16, le=1 << 20)
    max_streams: int = Field(256, ge=1, le=65536)
    max_pending: int = Field(16, ge=1, le=1024)
    max_single: int = Field(256, ge=1, le=65536)
    max_connections: int = Field(1024, ge=2, le=65536)
    stall_s: float = Field(30.0, gt=0, le=MOST_S)
    idle_s: float = Field(600.0, gt=0, le=MOST_S)
    greet_s: float = Field(10.0, gt=0, le=MOST_S)
    rate: float = Field(0.0, ge=0, le=MOST_A_SECOND)
    call_rate: float = Field(100.0, ge=0, le=MOST_A_SECOND)
    threads: int = Field(1, ge=1, le=1024)
    drain_s: float = Field(10.0, ge=0, le=MOST_S)


class CloudServer:
    """Answers packets of any number of bundles and clients.

    Args:
        bundles: Their names tell them apart.
        options: Limits.
        tokens: Bearer tokens, one of which a client must have; none: anyone.

    Raises:
        UsageError: One bundle twice, or none at all; no message would fit into what one client has of the memory.
        BundleError: One that cannot be served.
    """

    def __init__(
        self, bundles: Sequence[Bundle], options: ServerOptions | None = None, tokens: tuple[str, ...] = ()
    ) -> None:
        self._options, self._tokens = options or ServerOptions(), tokens
        self.metrics = Metrics()
        cores = os.cpu_count() or 1
        at_once = max(1, min(len(bundles), cores // self._options.threads))  # each bundle has one run at a time
        decoders = max(2, cores)
        self._workers = Workers(
            ThreadPoolExecutor(decoders, "decode"), ThreadPoolExecutor(at_once, "engine"), FairSlots(decoders)
        )
        self._models: dict[str, ServedModel] = {}
        for bundle in bundles:
            name = self._free_name(bundle)
            self._models[name] = self._model(bundle, name)
        self._check_memory()
        self._service = self._new_service()
        self._gate: ConnectionGate | None = None
        self._door: Door | None = None
        self._server: grpc.aio.Server | None = None
        self._pages = Pages(pages_of(self.metrics.page, lambda: self._service.is_ready))
        self._ending = contextlib.ExitStack()

    def _free_name(self, bundle: Bundle) -> str:
        """The bundle's, and that of the build where another build of the bundle has it."""
        for name in (bundle.name, model_of_pair(bundle.name, bundle.pair_id)):
            if name not in self._models:
                return name
            if self._models[name].pair_id == bundle.pair_id:
                break
        raise UsageError(f"{bundle.path}: a bundle {bundle.name!r} of pair {bundle.pair_id[:12]} is served already.")

    def _model(self, bundle: Bundle, name: str) -> ServedModel:
        options = self._options
        model = ServedModel(bundle, self._workers, options.max_batch, options.max_delay_ms / 1e3, options.threads)
        model.name = name
        model.warm_up()
        return model

    def _check_memory(self) -> None:
        """Where not even one message fits, every call would be refused."""
        limits = self._call_limits()
        needed = max(limits.single_bytes, limits.stream_bytes)
        if needed > Room(limits.reading_bytes).most:
            least_mb = math.ceil(needed / ONE_CLIENT / (1 << 19))
            raise UsageError(
                f"--max-memory-mb {self._options.max_memory_mb}: has no room for a stream with a message of "
                f"{self.max_message_bytes} bytes; give {least_mb} or more, or less --max-message-bytes or --max-batch."
            )

    def _new_service(self) -> InferenceService:
        options = self._options
        rates = Rates(options.rate) if options.rate else None
        limits = StreamLimits(options.max_pending, options.stall_s, options.idle_s)
        work = PacketWork(self.half_memory_bytes, max(LEAST_PACKETS, PACKETS_A_BATCH * options.max_batch))
        return InferenceService(self._models, self.metrics, rates, limits, work, self.max_message_bytes)

    @property
    def names(self) -> list[str]:
        """The bundles served."""
        return list(self._models)

    @property
    def half_memory_bytes(self) -> int:
        """For messages being received, and as much again for packets in work."""
        return self._options.max_memory_mb << 19

    @property
    def max_message_bytes(self) -> int:
        """The largest message that is read."""
        largest = max((model.max_request_bytes for model in self._models.values()), default=NO_MESSAGE_BYTES)
        return self._options.max_message_bytes or min(protocol.MAX_MESSAGE_BYTES, max(NO_MESSAGE_BYTES, largest))

    @property
    def bounds(self) -> dict[str, int]:
        """What was derived: bytes of the largest message, and MB of this process now and at most."""
        now = resident_bytes() >> 20
        return {
            "max_message_bytes": self.max_message_bytes,
            "memory_mb": now,
            "max_memory_mb": now + self._options.max_memory_mb,
        }

    async def start(self, address: str, tls: TlsFiles | None = None, *, allow_plain_text: bool = False) -> str:
        """Listen.

        Args:
            address: ``HOST:PORT``, port 0 for any, or ``unix:PATH``.
            tls: Certificates; None for plain text.
            allow_plain_text: Also to other machines.

        Returns:
            The address with the port that was taken.

        Raises:
            UsageError: The address is taken or malformed, or plain text would leave this machine.
            CapabilityError: Too few open files for a single connection.
        """
        context = (tls or TlsFiles()).server_context()
        refuse_plain_text(address, context is not None, allow_plain_text)
        if context is not None:
            context.set_alpn_protocols(["h2"])
        heard = self._heard(address)
        private = os.path.join(self._ending.enter_context(private_folder()), SOCKET_NAME)
        self._server = self._new_server(private)
        await self._server.start()
        connections = connections_that_fit(self._options.max_connections)
        strangers = max(1, min(STRANGERS, connections // 2))
        limits = GateLimits(
            connections, strangers, self._options.greet_s, self._options.idle_s, self._options.call_rate
        )
        self._gate = ConnectionGate(limits, private, self.metrics, context)
        self._gate.start(heard.sockets)
        trimming = asyncio.create_task(_trim())
        self._ending.callback(trimming.cancel)
        return heard.address

    def _heard(self, address: str) -> Listening:
        heard = listen(address)
        self._ending.callback(heard.close)
        return heard

    def _new_server(self, path: str) -> grpc.aio.Server:
        """gRPC behind the gate, which has ended TLS."""
        limit = self.max_message_bytes
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", CALLS_A_CONNECTION),
                ("grpc.max_metadata_size", HEADERS_BYTES),
                ("grpc.absolute_max_metadata_size", HEADERS_BYTES),
                ("grpc.http2.bdp_probe", 0),  # a message that nobody reads yet takes a window of 64 kB and no more
                ("grpc.http2.write_buffer_size", BUFFER_BYTES),
                (
                    "grpc.server_handshake_timeout_ms",
                    int(self._options.greet_s * 2e3),
                ),  # the gate counts, so it is first
                ("grpc.keepalive_time_ms", HTTP2_PINGS_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", HTTP2_PINGS_MS // 2),
            ],
        )
        self._door = Door(Admission(self._tokens, self._connection_of, self.metrics), self._call_limits(), self.metrics)
        server.add_generic_rpc_handlers([Methods(self._service, self._door, self.metrics)])
        server.add_insecure_port(f"unix:{path}")
        return server

    def _connection_of(self, peer: str) -> Connection | None:
        return self._gate.connection_of(peer) if self._gate is not None else None

    def _call_limits(self) -> CallLimits:
        options, message = self._options, self.max_message_bytes + BUFFER_BYTES
        remembered = max((model.stream_bytes for model in self._models.values()), default=0)
        return CallLimits(
            options.max_streams,
            options.max_single,
            self.half_memory_bytes,
            message + remembered,
            message,
            options.stall_s,
        )

    async def listen_for_metrics(
        self, address: str, tls: TlsFiles | None = None, *, allow_plain_text: bool = False
    ) -> str:
        """Serve ``/metrics`` for Prometheus and the pages of health over HTTP, or HTTPS where there are certificates.

        Returns:
            The address with the port that was taken.

        Raises:
            UsageError: The address is taken or malformed, or plain text would leave this machine.
        """
        context = (tls or TlsFiles()).server_context()
        refuse_plain_text(address, context is not None, allow_plain_text)
        heard = self._heard(address)
        await self._pages.start(heard.sockets, context)
        return heard.address

    async def drain(self) -> None:
        """Take no more calls, answer what is under way, end."""
        if self._door is not None:
            self._door.is_closed = True
        if self._gate is not None:
            self._gate.close_door()
        self._service.end_streams()
        if self._server is not None:
            await self._server.stop(self._options.drain_s)
        await asyncio.gather(*(model.close() for model in self._models.values()))
        if self._gate is not None:
            await self._gate.close()
        await self._pages.close()
        self._ending.close()
        for pool in (self._workers.codecs, self._workers.engines):
            pool.shutdown(wait=False, cancel_futures=True)


async def _trim() -> None:
    while True:
        await asyncio.sleep(TRIM_S)
        await asyncio.to_thread(give_back_free_memory)
