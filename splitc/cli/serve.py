"""``splitc serve BUNDLE...``: the cloud halves of bundles behind one port."""

from __future__ import annotations

import asyncio
import signal
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

    max_batch: Annotated[int, typer.Option(min=1, help="Largest batch.")] = 8
    max_delay_ms: Annotated[
        float, typer.Option(min=0, help="How long a sample waits for others to join its batch.")
    ] = 0.0
    max_streams: Annotated[int, typer.Option(min=1, help="Streams open at once.")] = 256
    stall_s: Annotated[float, typer.Option(min=0.1, help="Seconds an answer may stay unread.")] = 30.0
    idle_s: Annotated[float, typer.Option(min=1, help="Seconds a stream may stay open without packets.")] = 600.0
    rate: Annotated[float, typer.Option(min=0, help="Requests a second for each client; 0: no limit.")] = 0.0
    threads: Annotated[int, typer.Option(min=1, help="Threads an engine may use.")] = 1
    drain_s: Annotated[float, typer.Option(min=0, help="Seconds to finish open requests at shutdown.")] = 10.0


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
    from splitc.runtime import CloudServer, ServerOptions, TlsFiles, read_tokens

    options = ServerOptions.model_validate(asdict(limits))
    tls = TlsFiles(listening.tls_cert, listening.tls_key, listening.tls_ca)
    tokens = read_tokens(listening.token_file) if listening.token_file else ()
    server = CloudServer([open_checked(path, require_signature) for path in bundles], options, tokens)
    asyncio.run(_serve(server, listening, tls, print_json if json else _log_start))


async def _serve(
    server: CloudServer, asked: ListenOptions, tls: TlsFiles, started: Callable[[dict[str, Any]], None]
) -> None:
    """Serve until a signal comes; ``started`` is told the address, the bundles and the metrics' address."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    try:
        address = await server.start(asked.listen, tls, allow_plain_text=asked.insecure)
        document: dict[str, Any] = {"address": address, "bundles": server.names}
        if asked.metrics:
            document["metrics"] = server.listen_for_metrics(asked.metrics)
        started(document)
        await ending.wait()
        _log("draining: no new work, what is under way is answered")
    finally:
        await server.drain()
    _log(", ".join(f"{name} {count:,}" for name, count in server.metrics.totals().items()) or "nothing was asked")


def _log_start(document: dict[str, Any]) -> None:
    _log(f"serving {', '.join(document['bundles'])} at {document['address']}")


def _log(text: str) -> None:
    """A line that may be lost: a full disk under the log is no reason to stop serving or draining."""
    with suppress(OSError):
        say(text)
