"""``splitc serve BUNDLE...``: the cloud halves of bundles behind one port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.options import grouped
from splitc.cli.signature import Signers, open_checked

if TYPE_CHECKING:
    from splitc.runtime import CloudServer, TlsFiles

LISTEN = "127.0.0.1:8001"
LATE_S = 2.0
"""Beyond ``--drain-s``, for answers to be sent and sockets to be closed."""


@dataclass(frozen=True)
class ListenOptions:
    """Where the server listens, and whom it lets in."""

    listen: Annotated[str, typer.Option(help="HOST:PORT, port 0 for any, or unix:PATH.")] = LISTEN
    metrics: Annotated[str | None, typer.Option(help="HOST:PORT for Prometheus' /metrics.")] = None
    token_file: Annotated[Path | None, typer.Option(help="Accepted bearer tokens, one per line.")] = None
    tls_cert: Annotated[Path | None, typer.Option(help="This server's certificate chain, PEM.")] = None
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None
    tls_ca: Annotated[
        Path | None, typer.Option(help="Authorities that must have signed clients' certificates, PEM.")
    ] = None
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow unencrypted connections from other machines.")] = (
        False
    )


@dataclass(frozen=True)
class LimitOptions:
    """Fields of :class:`splitc.runtime.ServerOptions`."""

    max_batch: Annotated[int, typer.Option(min=1, max=1024, help="Most samples in a batch, and in one packet.")] = 8
    max_delay_ms: Annotated[
        float, typer.Option(min=0, max=1000, help="How long a sample waits for others to join its batch.")
    ] = 0.0
    max_memory_mb: Annotated[
        int,
        typer.Option(
            min=16, max=1 << 20, help="MB for requests at once, beside what the process takes after its start."
        ),
    ] = 1024
    max_message_bytes: Annotated[
        int | None,
        typer.Option(min=1024, max=1 << 30, help="Largest message; by default what the bundles' packets need."),
    ] = None
    max_connections: Annotated[int, typer.Option(min=2, max=65536, help="Connections open at once.")] = 1024
    max_streams: Annotated[int, typer.Option(min=1, max=65536, help="Streams open at once.")] = 256
    stall_s: Annotated[float, typer.Option(min=0.1, max=1e6, help="Seconds an answer may stay unread.")] = 30.0
    idle_s: Annotated[
        float,
        typer.Option(
            min=1, max=1e6, help="Seconds a stream may stay open without packets, or a connection without calls."
        ),
    ] = 600.0
    greet_s: Annotated[
        float, typer.Option(min=0.1, max=1e6, help="Seconds a connection has for its first admitted call.")
    ] = 10.0
    rate: Annotated[float, typer.Option(min=0, max=1e9, help="Requests a second for each client; 0: no limit.")] = 0.0
    call_rate: Annotated[
        float,
        typer.Option(
            min=0, max=1e9, help="Calls a second, for each client, that no answer to a packet pays for; 0: no limit."
        ),
    ] = 100.0
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads an engine may use.")] = 1
    drain_s: Annotated[float, typer.Option(min=0, max=1e6, help="Seconds to finish open requests at shutdown.")] = 10.0


@app.command()
@grouped
def serve(
    bundles: Annotated[list[Path], typer.Argument(help="One or more bundles.")],
    listening: ListenOptions,
    limits: LimitOptions,
    require_signature: Signers = None,
    json: Json = False,
) -> None:
    """Serve the cloud half over gRPC (Open Inference Protocol v2) until SIGINT or SIGTERM, then drain."""
    from splitc.runtime import CloudServer, ServerOptions, TlsFiles, read_tokens, use_few_arenas

    use_few_arenas()
    options = ServerOptions.model_validate(asdict(limits))
    tls = TlsFiles(listening.tls_cert, listening.tls_key, listening.tls_ca)
    tokens = read_tokens(listening.token_file) if listening.token_file else ()
    server = CloudServer([open_checked(path, require_signature) for path in bundles], options, tokens)
    asyncio.run(_serve(server, listening, tls, limits.drain_s, _print_start if json else _log_start))


async def _serve(
    server: CloudServer,
    asked: ListenOptions,
    tls: TlsFiles,
    drain_s: float,
    started: Callable[[dict[str, Any]], None],
) -> None:
    """Serve until a signal comes; ``started`` is told the address, the bundles and the metrics' address."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    is_serving = False
    try:
        address = await server.start(asked.listen, tls, allow_plain_text=asked.insecure)
        document: dict[str, Any] = {"address": address, "bundles": server.names, **server.bounds}
        if asked.metrics:
            document["metrics"] = await server.listen_for_metrics(asked.metrics, tls, allow_plain_text=asked.insecure)
        started(document)
        is_serving = True
        await ending.wait()
        _log("draining: no new work, what is under way is answered")
    finally:
        watch = _end_at_the_latest_in(drain_s + LATE_S)
        await server.drain()
        if not is_serving:  # refused before anything ran: whoever called this in his own process goes on
            watch.cancel()
    _log(", ".join(f"{name} {count:,}" for name, count in server.metrics.totals().items()) or "nothing was asked")


def _end_at_the_latest_in(seconds: float) -> threading.Timer:
    """A tail that is computing cannot be stopped: if it outlives the drain, the process ends without it."""

    def end() -> None:
        _log(f"a run was still going on {seconds:g} s after the signal; ended without its answer")
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(0)

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()
    return watch


def _print_start(document: dict[str, Any]) -> None:
    """At once: whoever reads a pipe waits for the address."""
    print_json(document)
    sys.stdout.flush()


def _log_start(document: dict[str, Any]) -> None:
    _log(f"serving {', '.join(document['bundles'])} at {document['address']}")


def _log(text: str) -> None:
    """A line that may be lost: a full disk under the log is no reason to stop serving or draining."""
    with suppress(OSError):
        say(text)
