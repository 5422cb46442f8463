"""A server in this process on a real socket, and a relay that does to its traffic what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from splitc.bundle import open_bundle
from splitc.runtime.security import TlsFiles
from splitc.runtime.server import CloudServer, ServerOptions


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Any, timeout: float = 30.0) -> Any:
        """The result of a coroutine."""
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(timeout)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do it then, without waiting for it."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, work)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def loop() -> Iterator[Loop]:
    one = Loop()
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def serving(bundles: Sequence[Path], **how: Any) -> Iterator[tuple[str, CloudServer]]:
    """(address, server) while it runs, on an event loop of its own."""
    with loop() as thread, serving_on(thread, bundles, **how) as served:
        yield served


@contextlib.contextmanager
def serving_on(
    thread: Loop,
    bundles: Sequence[Path],
    *,
    listen: str = "127.0.0.1:0",
    tokens: tuple[str, ...] = (),
    tls: TlsFiles | None = None,
    **options: Any,
) -> Iterator[tuple[str, CloudServer]]:
    """(address, server) while it runs on this event loop."""

    async def start() -> tuple[str, CloudServer]:
        server = CloudServer([open_bundle(path) for path in bundles], ServerOptions(**options), tokens)
        return await server.start(listen, tls), server

    address, server = thread.run(start())
    try:
        yield address, server
    finally:
        thread.run(server.drain())


class Relay:
    """Passes TCP on, and spoils it on command.

    Attributes:
        target: Where new connections go.
        spoil: Called with each run of bytes towards the server; what it returns is passed on.
        bytes_per_s: How much is passed on towards the server; None: as much as comes.
        is_dark: Nothing is passed on while this is set; nothing is lost either.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.target = host, int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None] | None] = set()
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.is_dark = False
        self.bytes_per_s: float | None = None
        self.address = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def cut(self) -> None:
        """Ends every connection, as a network that changes does."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        await self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(
                self._pass_on(reader, back, lambda data: self.spoil(data)),
                self._pass_on(there, writer, lambda data: data),
                return_exceptions=True,
            )
        finally:
            self._writers -= {writer, back}
            writer.close()
            back.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        try:
            while data := await reader.read(65536 if self.bytes_per_s is None else 1024):
                while self.is_dark:
                    await asyncio.sleep(0.01)
                if self.bytes_per_s is not None:
                    await asyncio.sleep(len(data) / self.bytes_per_s)
                writer.write(change(data))
                await writer.drain()
        finally:
            writer.close()


@contextlib.contextmanager
def relayed(target: str) -> Iterator[tuple[Relay, Loop]]:
    with loop() as thread:
        relay = Relay(target)
        thread.run(relay.start())
        try:
            yield relay, thread
        finally:
            thread.run(relay.stop())
