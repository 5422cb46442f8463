"""One connection between a client and gRPC: passes frames on at its client's pace, and knows what was done so far."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import Protocol

from splitc.runtime.server.pace import CALL, RESET, Budget, FrameMeter
from splitc.runtime.server.tls_session import TlsSession

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""First bytes of HTTP/2."""
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


class ConnectionOwner(Protocol):
    """What a connection asks of its gate (:class:`splitc.runtime.server.gate.ConnectionGate`).

    Attributes:
        buffer: For one read at a time.
        target: Path of the socket that gRPC listens on.
        tls: Certificates; None for plain text.
    """

    buffer: bytearray
    target: str
    tls: ssl.SSLContext | None

    def budget(self, whose: str) -> Budget: ...

    def arrived(self, connection: Connection) -> float: ...

    def admitted(self, connection: Connection) -> None: ...

    def left(self, connection: Connection) -> None: ...

    def reject(self, connection: Connection, reason: str) -> None: ...

    def paced(self) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """One connection: the client's end.

    Attributes:
        name: gRPC's peer name of it.
        address: Whose it is: an address, without its port.
        moved: ``time.monotonic()`` when it began, or when an admitted call began or ended.
        calls: Open and admitted.
        probes: Health checks on it that were answered.
        budget: Pays for its frames: that of its address's strangers, then its client's.
    """

    def __init__(self, gate: ConnectionOwner, name: str, address: str) -> None:
        self._gate, self.name, self.address = gate, name, address
        self.moved, self.calls, self.probes = time.monotonic(), 0, 0
        self._refusals = self._received = self._allowed = 0
        self._checks = 0.0
        self._is_admitted = self._is_closed = False
        self._pauses: set[str] = set()
        self._pending = b""  # read, and not passed on yet
        self._meter, self.budget = FrameMeter(), gate.budget(f"strangers at {address}")
        self._tls = TlsSession(gate.tls) if gate.tls else None
        self._upstream: _Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    @property
    def identity(self) -> str | None:
        """Names in the client's certificate; None without one."""
        return self._tls.identity if self._tls else None

    def call_began(self, client: str) -> None:
        """An admitted call: its client is no stranger any more, and pays for the connection from now on."""
        self.moved, self.calls = time.monotonic(), self.calls + 1
        if not self._is_admitted:
            self._is_admitted = True
            self._gate.admitted(self)
            self.budget.credit()
            self.budget = self._gate.budget(client)
            self.budget.charge(CALL)
            self.resume("bytes")
            self._go_on()

    def call_ended(self) -> None:
        """An admitted call is over."""
        self.moved, self.calls = time.monotonic(), self.calls - 1

    def answered(self) -> None:
        """A packet of it was answered."""
        self.budget.credit()

    def failed(self) -> None:
        """A packet of it was refused: that is as much work as a call."""
        self.budget.charge(CALL)

    def checked_health(self) -> None:
        """A stranger asked what strangers may ask: its time begins anew, and now and then its bytes."""
        now = time.monotonic()
        paid = (now - self.moved) / HEALTH_S
        if paid >= 1:
            self._received = 0
            self.resume("bytes")
        self._checks, self.moved = max(0.0, self._checks - paid) + 1, now
        if self._checks > HEALTH_AHEAD and not self._is_admitted:
            self._gate.reject(self, "refused")

    def answered_health(self) -> None:
        """It has its answer to that."""
        self.probes += 1

    def was_refused(self) -> None:
        """A call of it was refused for want of a token."""
        self._refusals += 1
        if self._refusals >= MAX_REFUSALS and not self._is_admitted:
            self._gate.reject(self, "refused")

    def abort(self) -> None:
        """Close both ends at once."""
        self._closed()
        if self.transport is not None:
            self.transport.abort()

    def pause(self, why: str) -> None:
        """Read no more of the client, until :meth:`resume` of this and every other reason."""
        self._pauses.add(why)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume(self, why: str) -> None:
        """A reason is gone."""
        self._pauses.discard(why)
        if self.transport is not None and not self.transport.is_closing() and not self._pauses:
            self.transport.resume_reading()

    def send(self, data: bytes) -> None:
        """To the client."""
        if self.transport is None or self.transport.is_closing():
            return
        try:
            self.transport.write(self._tls.sealed(data) if self._tls else data)
        except ssl.SSLError:
            self.transport.close()

    def close(self) -> None:
        """gRPC has closed its end: close this one after what was sent last."""
        if self.transport is not None and not self.transport.is_closing():
            if self._tls is not None:
                self.transport.write(self._tls.close_notify())
            self.transport.close()

    # -- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(BUFFER_BYTES)
        penalty_s = self._gate.arrived(self)
        self._allowed = STRANGER_BYTES[self._tls is not None]
        if penalty_s:
            self._allowed //= MARKED_PART
            self.pause("penalty")
            asyncio.get_running_loop().call_later(penalty_s, self.resume, "penalty")

    def get_buffer(self, sizehint: int) -> memoryview:
        most = READ_BYTES if self._is_admitted else min(READ_BYTES, max(1, self._allowed - self._received))
        return memoryview(self._gate.buffer)[:most]

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(memoryview(self._gate.buffer)[:nbytes])
        if not self._is_admitted:
            self._received += nbytes
            if self._received >= self._allowed:
                self.pause("bytes")
        if self._tls is not None:
            data = self._opened(self._tls, data)
        self._pending += data
        if self._upstream is not None:
            self._pass_on()
        elif data:
            self._check_preface()

    def _opened(self, tls: TlsSession, data: bytes) -> bytes:
        """Plain text; whoever speaks no TLS is turned away."""
        assert self.transport is not None
        try:
            data = tls.opened(data)
        except ssl.SSLError:
            self.transport.write(tls.waiting())  # the alert says why
            self._gate.reject(self, "foreign")
            return b""
        if waiting := tls.waiting():
            self.transport.write(waiting)
        if tls.is_over:  # as the end of a plain connection is
            self.close()
        return data

    def _check_preface(self) -> None:
        """The first bytes decide whether gRPC hears of it at all."""
        if not self._pending.startswith(PREFACE[: len(self._pending)]):
            self._gate.reject(self, "foreign")
        elif len(self._pending) >= len(PREFACE) and self._connecting is None:
            self.pause("connecting")
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop, inner = asyncio.get_running_loop(), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner.setblocking(False)
            inner.bind("\0" + self.name)
            await loop.sock_connect(inner, self._gate.target)
            _, self._upstream = await loop.create_connection(lambda: _Upstream(self), sock=inner)
        except OSError:
            inner.close()
            self._gate.reject(self, "no descriptors")
            return
        self.resume("connecting")
        self._pass_on()

    def _pass_on(self) -> None:
        """To gRPC what the client's budget pays for; the rest waits for its turn."""
        if self._upstream is None or not self._pending:
            return
        size = self._meter.passable(self._pending, self.budget)
        passed, self._pending = self._pending[:size], self._pending[size:]
        if passed:
            self._upstream.write(passed)
        if self._meter.is_held and "pace" not in self._pauses:
            self.pause("pace")
            self._gate.paced()
            self.budget.wait(self._go_on)

    def _go_on(self) -> None:
        """Its turn has come."""
        if "pace" in self._pauses:
            self.resume("pace")
            self._pass_on()

    def pause_writing(self) -> None:
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed()

    def _closed(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.budget.charge(RESET * self._given_up())
        self._gate.left(self)
        self._pending = b""
        self._pauses.discard("pace")
        if self._connecting is not None:
            self._connecting.cancel()
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.abort()

    def _given_up(self) -> int:
        """Calls that its client will not hear of: those that are open; of a stranger all but answered health checks."""
        return self.calls if self._is_admitted else max(0, self._meter.calls - self.probes)


class _Upstream(asyncio.BufferedProtocol):
    """gRPC's end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._buffer = connection._gate.buffer
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
        self._connection.send(bytes(memoryview(self._buffer)[:nbytes]))

    def pause_writing(self) -> None:
        self._connection.pause("full")

    def resume_writing(self) -> None:
        self._connection.resume("full")

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.close()
