"""``splitc serve``: the cloud halves of bundles behind one port, in one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from pydantic import Field

from splitc.bundle import Bundle
from splitc.errors import UsageError
from splitc.runtime.address import UNIX, Address, read_address
from splitc.runtime.protocol import MAX_MESSAGE_BYTES
from splitc.runtime.security import TlsFiles, refuse_plain_text
from splitc.runtime.server.access import Rates, RequireToken
from splitc.runtime.server.methods import handlers
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.models import ServedModel
from splitc.runtime.server.pulse import StreamLimits
from splitc.runtime.server.service import InferenceService
from splitc.types import Frozen

HTTP2_PINGS_MS = 10_000


class ServerOptions(Frozen):
    """Limits of a server.

    ``rate`` is in requests a second for each client, 0 for no limit. A stream may have ``max_pending`` packets in work;
    beyond that, reading waits, and the client with it. A stream whose answers are not read for ``stall_s``, or on which
    nothing moves for ``idle_s``, ends and makes room. Beside streams, ``max_single`` single calls may be open at once.
    """

    max_batch: int = Field(8, ge=1, le=1024)
    max_delay_ms: float = Field(0.0, ge=0, le=1000)
    max_message_bytes: int = Field(MAX_MESSAGE_BYTES, ge=1024, le=1 << 30)
    max_streams: int = Field(256, ge=1, le=65536)
    max_pending: int = Field(16, ge=1, le=1024)
    max_single: int = Field(256, ge=1, le=65536)
    stall_s: float = Field(30.0, gt=0)
    idle_s: float = Field(600.0, gt=0)
    rate: float = Field(0.0, ge=0)
    threads: int = Field(1, ge=1, le=1024)
    drain_s: float = Field(10.0, ge=0)


class CloudServer:
    """Answers packets of any number of bundles and clients.

    Args:
        bundles: Their names tell them apart.
        options: Limits.
        tokens: Bearer tokens, one of which a client must have; none: anyone.

    Raises:
        UsageError: Two bundles of one name, or none at all.
        BundleError: One that cannot be served.
    """

    def __init__(
        self, bundles: Sequence[Bundle], options: ServerOptions | None = None, tokens: tuple[str, ...] = ()
    ) -> None:
        self._options = options or ServerOptions()
        self.metrics = Metrics()
        self._codecs = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "decode")
        at_once = max(1, min(len(bundles), (os.cpu_count() or 1) // self._options.threads))
        self._engines = ThreadPoolExecutor(at_once, "engine")  # each bundle has one run at a time
        self._models: dict[str, ServedModel] = {}
        for bundle in bundles:
            if bundle.name in self._models:
                raise UsageError(f"two bundles are named {bundle.name!r}; clients could not tell them apart.")
            self._models[bundle.name] = self._model(bundle)
        rates = Rates(self._options.rate, by_token=bool(tokens)) if self._options.rate else None
        limits = StreamLimits(
            self._options.max_streams, self._options.max_pending, self._options.stall_s, self._options.idle_s
        )
        self._service = InferenceService(self._models, self.metrics, rates, limits)
        self._interceptors = [RequireToken(tokens, self.metrics)] if tokens else []
        self._server: grpc.aio.Server | None = None

    def _model(self, bundle: Bundle) -> ServedModel:
        options = self._options
        model = ServedModel(
            bundle, self._codecs, self._engines, options.max_batch, options.max_delay_ms / 1e3, options.threads
        )
        model.warm_up()
        return model

    @property
    def names(self) -> list[str]:
        """The bundles served."""
        return list(self._models)

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
        """
        credentials = (tls or TlsFiles()).server_credentials()
        refuse_plain_text(address, credentials is not None, allow_plain_text)
        self._server = self._new_server()
        self._server.add_generic_rpc_handlers([handlers(self._service, self.metrics)])
        try:
            port = (
                self._server.add_secure_port(address, credentials)
                if credentials
                else self._server.add_insecure_port(address)
            )
        except RuntimeError as error:
            raise UsageError(
                f"{address}: cannot listen there; is the port taken, or the address not of this machine?"
            ) from error
        await self._server.start()
        return address if address.startswith(UNIX) else str(Address(read_address(address).host, port))

    def _new_server(self) -> grpc.aio.Server:
        limit = self._options.max_message_bytes
        return grpc.aio.server(
            interceptors=self._interceptors,
            maximum_concurrent_rpcs=self._options.max_streams + self._options.max_single,
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_time_ms", HTTP2_PINGS_MS),
                ("grpc.http2.min_ping_interval_without_data_ms", HTTP2_PINGS_MS // 2),
            ],
        )

    def listen_for_metrics(self, address: str) -> str:
        """Serve ``/metrics`` over HTTP, for Prometheus; returns the address with the port that was taken.

        Raises:
            UsageError: The address is taken or malformed.
        """
        wanted = read_address(address)
        try:
            return str(Address(wanted.host, self.metrics.listen(wanted.host, wanted.port)))
        except OSError as error:
            raise UsageError(f"{address}: metrics cannot listen there ({error.strerror}).") from error

    async def drain(self) -> None:
        """Take no more calls, answer what is under way, end."""
        self._service.end_streams()
        if self._server is not None:
            await self._server.stop(self._options.drain_s)
        await asyncio.gather(*(model.close() for model in self._models.values()))
        self.metrics.close()
        self._codecs.shutdown(wait=False, cancel_futures=True)
        self._engines.shutdown(wait=False, cancel_futures=True)
