"""One connection between a client and gRPC: passes bytes on, and knows what its client did so far."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Protocol

GREETINGS = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03")
"""First bytes of HTTP/2 without and with TLS."""
BUFFER_BYTES = 64 << 10
"""Read from gRPC at once, and written ahead of a reader in one direction."""
READ_BYTES = 16 << 10
"""From a client at once: then it is the turn of the others who send."""
STRANGER_BYTES = (16 << 10, 64 << 10)
"""Passed on from a stranger, without and with TLS: headers, and a handshake with certificates. The rest waits."""
MARKED_PART = 4
"""A marked address has so much less of it."""
HEALTH_S = 0.25
"""A stranger that asks for health no more often than this may ask for ever,"""
HEALTH_AHEAD = 16
"""and so many times more at once; then its connection is closed."""
MAX_REFUSALS = 8
"""Refused calls on one stranger's connection before it is closed."""


class Keeper(Protocol):
    """Who keeps the connections (:class:`splitc.runtime.server.gate.ConnectionGate`).

    Attributes:
        buffer: For one read at a time.
        target: Path of the socket that gRPC listens on.
        is_encrypted: Whether TLS is spoken.
    """

    buffer: bytearray
    target: str
    is_encrypted: bool

    def arrived(self, visit: Visit) -> float: ...

    def admitted(self, visit: Visit) -> None: ...

    def left(self, visit: Visit) -> None: ...

    def turn_away(self, visit: Visit, reason: str) -> None: ...


class Visit(asyncio.BufferedProtocol):
    """One connection: the client's end.

    Attributes:
        name: gRPC's peer name of it.
        address: Whose it is: an address, without its port.
        moved: ``time.monotonic()`` when it began, or when an admitted call began or ended.
        calls: Open and admitted.
        was_polite: It asked for health, and has no need of a token.
    """

    def __init__(self, gate: Keeper, name: str, address: str) -> None:
        self._gate, self.name, self.address = gate, name, address
        self.moved, self.calls = time.monotonic(), 0
        self._refusals = self._received = self._allowed = 0
        self._checks = 0.0
        self._is_admitted = self._is_waiting = False
        self.was_polite = False
        self._early = b""
        self._inner: _Inner | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def call_began(self) -> None:
        """An admitted call: its client is no stranger any more."""
        self.moved, self.calls = time.monotonic(), self.calls + 1
        if not self._is_admitted:
            self._is_admitted = True
            self._gate.admitted(self)
            if self._is_waiting:
                self.resume_reading()

    def call_ended(self) -> None:
        """An admitted call is over."""
        self.moved, self.calls = time.monotonic(), self.calls - 1

    def checked_health(self) -> None:
        """A stranger asked what strangers may ask: its time begins anew, and now and then its bytes."""
        now, self.was_polite = time.monotonic(), True
        paid = (now - self.moved) / HEALTH_S
        if paid >= 1:
            self._received = 0
        self._checks, self.moved = max(0.0, self._checks - paid) + 1, now
        if self._checks > HEALTH_AHEAD and not self._is_admitted:
            self._gate.turn_away(self, "refused")

    def was_refused(self) -> None:
        """A call of it was refused for want of a token."""
        self._refusals += 1
        if self._refusals >= MAX_REFUSALS and not self._is_admitted:
            self._gate.turn_away(self, "refused")

    def end(self) -> None:
        """Close both ends at once."""
        self._gate.left(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._inner is not None and self._inner.transport is not None:
            self._inner.transport.abort()
        if self.transport is not None:
            self.transport.abort()

    # -- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(BUFFER_BYTES)
        penalty_s = self._gate.arrived(self)
        self._allowed = STRANGER_BYTES[self._gate.is_encrypted]
        if penalty_s:
            self._allowed //= MARKED_PART
            transport.pause_reading()
            asyncio.get_running_loop().call_later(penalty_s, self.resume_reading)

    def get_buffer(self, sizehint: int) -> memoryview:
        most = READ_BYTES if self._is_admitted else min(READ_BYTES, max(1, self._allowed - self._received))
        return memoryview(self._gate.buffer)[:most]

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(memoryview(self._gate.buffer)[:nbytes])
        if not self._is_admitted:
            self._received += nbytes
            if self._received >= self._allowed:
                self._is_waiting = True
                self.pause_reading()
        if self._inner is not None:
            self._inner.write(data)
        else:
            self._greeted(self._early + data)

    def _greeted(self, early: bytes) -> None:
        """The first bytes decide whether gRPC hears of it at all."""
        self._early, wanted = early, GREETINGS[self._gate.is_encrypted]
        if not early.startswith(wanted[: len(early)]):
            self._gate.turn_away(self, "foreign")
        elif len(early) >= len(wanted) and self._connecting is None:
            assert self.transport is not None
            self.transport.pause_reading()
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop, inner = asyncio.get_running_loop(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner.setblocking(False)
            inner.bind("\0" + self.name)
            await loop.sock_connect(inner, self._gate.target)
            _, self._inner = await loop.create_connection(lambda: _Inner(self), sock=inner)
        except OSError:
            inner.close()
            self._gate.turn_away(self, "no descriptors")
            return
        early, self._early = self._early, b""
        self._inner.write(early)
        self.resume_reading()

    def pause_writing(self) -> None:
        if self._inner is not None and self._inner.transport is not None:
            self._inner.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._inner is not None and self._inner.transport is not None:
            self._inner.transport.resume_reading()

    def pause_reading(self) -> None:
        """gRPC does not keep up."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """gRPC keeps up again; a stranger that sent all it may waits on."""
        is_held = self._is_waiting and not self._is_admitted
        if self.transport is not None and not self.transport.is_closing() and not is_held:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.left(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._inner is not None and self._inner.transport is not None:
            self._inner.transport.abort()


class _Inner(asyncio.BufferedProtocol):
    """gRPC's end of a connection."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._buffer = visit._gate.buffer
        self.transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> None:
        """To gRPC."""
        if self.transport is not None:
            self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(BUFFER_BYTES)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._visit.transport is not None:
            self._visit.transport.write(bytes(memoryview(self._buffer)[:nbytes]))

    def pause_writing(self) -> None:
        self._visit.pause_reading()

    def resume_writing(self) -> None:
        self._visit.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._visit.transport is not None:
            self._visit.transport.close()  # after what gRPC said last was sent
