"""``splitc serve BUNDLE...``: the cloud halves of bundles behind one port."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say

LISTEN = "127.0.0.1:8001"


@app.command()
def serve(
    bundles: Annotated[list[Path], typer.Argument(help="One or more bundles.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT, port 0 for any, or unix:PATH.")] = LISTEN,
    metrics: Annotated[str | None, typer.Option(help="HOST:PORT for Prometheus' /metrics.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="Bearer tokens that clients must have, one a line.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="This server's certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Clients' certificates must come from these, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Plain text also off this machine.")] = False,
    max_batch: Annotated[int, typer.Option(min=1, help="Samples that may run as one.")] = 8,
    max_delay_ms: Annotated[float, typer.Option(min=0, help="How long one waits for others to come.")] = 0.0,
    max_streams: Annotated[int, typer.Option(min=1, help="Streams open at once.")] = 256,
    stall_s: Annotated[float, typer.Option(min=0.1, help="Seconds an answer may stay unread.")] = 30.0,
    idle_s: Annotated[float, typer.Option(min=1, help="Seconds a stream may stay open without packets.")] = 600.0,
    rate: Annotated[float, typer.Option(min=0, help="Requests a second for each client; 0: no limit.")] = 0.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads an engine may use.")] = 1,
    drain_s: Annotated[float, typer.Option(min=0, help="Seconds for what is under way when the server ends.")] = 10.0,
    json: Json = False,
) -> None:
    """Serve the cloud half over gRPC (Open Inference Protocol v2) until SIGINT or SIGTERM, then drain."""
    from splitc.bundle import open_bundle
    from splitc.runtime import CloudServer, ServerOptions, TlsFiles, read_tokens

    options = ServerOptions(
        max_batch=max_batch,
        max_delay_ms=max_delay_ms,
        max_streams=max_streams,
        stall_s=stall_s,
        idle_s=idle_s,
        rate=rate,
        threads=threads,
        drain_s=drain_s,
    )
    tls = TlsFiles(tls_cert, tls_key, tls_ca)
    tokens = read_tokens(token_file) if token_file else ()
    server = CloudServer([open_bundle(path) for path in bundles], options, tokens)

    def started(document: dict[str, Any]) -> None:
        if json:
            print_json(document)
        else:
            _log(f"serving {', '.join(document['bundles'])} at {document['address']}")

    asyncio.run(_serve(server, listen, metrics, tls, insecure, started))


async def _serve(server: Any, listen: str, metrics: str | None, tls: Any, insecure: bool, started: Any) -> None:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    try:
        address = await server.start(listen, tls, allow_plain_text=insecure)
        document: dict[str, Any] = {"address": address, "bundles": server.names}
        if metrics:
            document["metrics"] = server.listen_for_metrics(metrics)
        started(document)
        await ending.wait()
        _log("draining: no new work, what is under way is answered")
    finally:
        await server.drain()
    _log(", ".join(f"{name} {count:,}" for name, count in server.metrics.totals().items()) or "nothing was asked")


def _log(text: str) -> None:
    """A line that may be lost: a full disk under the log is no reason to stop serving or draining."""
    with suppress(OSError):
        say(text)
