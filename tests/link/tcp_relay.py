"""An emulated link where namespaces are not allowed: a relay of TCP in this process.

Rate, queueing, delay, jitter and traces are real: bytes arrive when they would. Losses are not: the two kernels talk to
this relay without any. A lost segment is a pause of ``STALL_S``, about what TCP takes to notice and to send again, and
congestion windows do not shrink; real ones need ``namespaces``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from shaping import LinkSpec, Shaper

STALL_S = 0.2
"""TCP's least retransmission timeout on Linux."""
SEGMENT = 1448


class TcpRelay:
    """Passes connections on through a link."""

    def __init__(self, target: str, spec: LinkSpec) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._spec = (host, int(port)), spec
        self._talks: set[asyncio.Task[None]] = set()
        self.address = ""

    async def start(self) -> None:
        """Listen on a free port of the loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Hang up on everybody."""
        self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        there, back = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(self._pass_on(reader, back, 1), self._pass_on(there, writer, 2))
        except OSError:
            return  # an end hung up: so does this one
        finally:
            writer.close()
            back.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: int) -> None:
        clock = asyncio.get_running_loop().time
        shaper, flying = Shaper(self._spec, seed, clock()), asyncio.Queue[tuple[float, bytes]](1 << 14)
        sender = asyncio.create_task(_deliver(flying, writer))
        try:
            while data := await reader.read(SEGMENT):
                arrives = shaper.leave_s(clock(), len(data))
                while arrives is None:  # a full queue: TCP would slow down
                    await asyncio.sleep(0.01)
                    arrives = shaper.leave_s(clock(), len(data))
                await flying.put((arrives + STALL_S * shaper.is_lost(), data))
            await flying.put((clock(), b""))
            await sender
        finally:
            sender.cancel()


async def _deliver(flying: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """In order: what comes behind a lost segment waits for it, as in TCP."""
    while True:
        arrives, data = await flying.get()
        await asyncio.sleep(max(0.0, arrives - asyncio.get_running_loop().time()))
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


@contextlib.contextmanager
def tcp_relay(target: str, spec: LinkSpec) -> Iterator[str]:
    """The address of a relay to ``target``, on an event loop in a thread of its own."""
    loop, relay = asyncio.new_event_loop(), TcpRelay(target, spec)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(relay.start(), loop).result(10)
    try:
        yield relay.address
    finally:
        asyncio.run_coroutine_threadsafe(relay.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        assert not thread.is_alive(), "the relay's event loop does not end"
        loop.close()
