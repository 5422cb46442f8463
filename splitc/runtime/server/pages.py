"""``/metrics`` for Prometheus and two pages for load balancers, over HTTP/1.1: few connections, one request each."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from socket import socket

from prometheus_client import CONTENT_TYPE_LATEST

MAX_CONNECTIONS = 16
REQUEST_BYTES = 8 << 10
REQUEST_S = 5.0
"""For a request, TLS included, and as long again for taking the answer."""
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Page:
    """What a path answers: a status and a text, made when it is asked for."""

    make: Callable[[], tuple[HTTPStatus, bytes]]
    kind: str = PLAIN


class Pages:
    """A small HTTP server.

    Args:
        pages: By path.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, sockets: Sequence[socket], tls: ssl.SSLContext | None) -> None:
        """Answer on these sockets, which listen already."""
        how = {"ssl": tls, "ssl_handshake_timeout": REQUEST_S, "ssl_shutdown_timeout": 1.0} if tls else {}
        for one in sockets:
            server = await asyncio.start_server(self._begun, sock=one, limit=REQUEST_BYTES, **how)  # type: ignore[arg-type]
            self._servers.append(server)

    async def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _begun(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await asyncio.wait_for(self._answered(reader, writer), 2 * REQUEST_S)
        except (asyncio.TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open.discard(task)
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_S)
        writer.write(self._answer(head.split(b"\r\n", 1)[0].decode("latin-1")))
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _answer(self, line: str) -> bytes:
        """The whole response to a request line."""
        method, _, rest = line.partition(" ")
        page = self._pages.get(rest.partition(" ")[0].partition("?")[0])
        if method not in ("GET", "HEAD"):
            status, body, kind = HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n", PLAIN
        elif page is None:
            status, body, kind = HTTPStatus.NOT_FOUND, f"{', '.join(self._pages)}\n".encode(), PLAIN
        else:
            (status, body), kind = page.make(), page.kind
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (b"" if method == "HEAD" else body)


def pages_of(metrics: Callable[[], bytes], is_ready: Callable[[], bool]) -> Mapping[str, Page]:
    """The server's pages; those about health are named as in the protocol's HTTP form."""

    def ready() -> tuple[HTTPStatus, bytes]:
        return (HTTPStatus.OK, b"ready\n") if is_ready() else (HTTPStatus.SERVICE_UNAVAILABLE, b"ending\n")

    return {
        "/metrics": Page(lambda: (HTTPStatus.OK, metrics()), CONTENT_TYPE_LATEST),
        "/v2/health/live": Page(lambda: (HTTPStatus.OK, b"live\n")),
        "/v2/health/ready": Page(ready),
    }
