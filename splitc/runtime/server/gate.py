"""The door of a server: it accepts connections, knows which of them a call has been admitted on, and closes the others.

    client ══ socket ══► ConnectionGate: Visit ── private socket ──► gRPC

gRPC itself cannot tell strangers' connections from those of clients with a token: it has one limit for all, and no
bound on how many of them wait, or for how long. The gate passes bytes on, TLS included, and reads none but the first.
A connection is a *stranger* until one of its calls was admitted; strangers have few places, little time, few bytes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from splitc.runtime.server.metrics import Metrics

GREETINGS = (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03")
"""First bytes of HTTP/2 without and with TLS."""
BUFFER_BYTES = 64 << 10
"""Read at once, and written ahead of a reader, by one connection in one direction."""
STRANGER_BYTES = (16 << 10, 64 << 10)
"""Passed on from a stranger, without and with TLS: headers, and a handshake with certificates. The rest waits."""
MAX_REFUSALS = 8
"""Refused calls on one stranger's connection before it is closed."""
SWEEP_S = 0.5
BAD_MARKS = 8.0
"""Connections of one address that were turned away lately: from then on its new ones wait, and few may."""
LEFT_MARK = 0.5
"""For one that left before a call of it was admitted."""
FADING = 0.8
"""What is left of marks after each sweep."""
PENALTY_S = 1.0
MARKED_STRANGERS = 16
"""Of such an address at once."""
MAX_MARKED = 4096
"""Addresses that are remembered."""
PAUSE_S = 0.1
"""After a connection could not be accepted: no descriptors are left."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class GateLimits:
    """Bounds of connections.

    Attributes:
        connections: Open at once.
        strangers: Of these, not admitted; where they are full, the oldest one goes.
        greet_s: How long one may stay a stranger.
        idle_s: How long an admitted one may have no call.
        is_encrypted: Whether TLS is spoken.
    """

    connections: int
    strangers: int
    greet_s: float
    idle_s: float
    is_encrypted: bool = False


class ConnectionGate:
    """Connections of one server.

    Args:
        limits: Bounds.
        target: Path of the private socket that gRPC listens on.
        metrics: Counts connections that are closed.
    """

    def __init__(self, limits: GateLimits, target: str, metrics: Metrics) -> None:
        self.limits, self.target, self._metrics = limits, target, metrics
        self.buffer = bytearray(BUFFER_BYTES)
        self._visits: dict[str, Visit] = {}
        self._strangers: dict[str, dict[Visit, None]] = {}  # by address, oldest first
        self._marks: dict[str, float] = {}
        self._prefix, self._numbers = f"splitc-{secrets.token_hex(8)}-", itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: Sequence[socket.socket] = ()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these sockets, which listen already, from now on."""
        self._sockets = sockets
        self._tasks = [asyncio.create_task(self._accept(one)) for one in sockets]
        self._tasks.append(asyncio.create_task(self._sweep()))

    def visit_of(self, peer: str) -> Visit | None:
        """The connection that gRPC knows by this name."""
        return self._visits.get(peer.removeprefix("unix-abstract:"))

    def close_door(self) -> None:
        """Accept no more; those inside stay."""
        for task in self._tasks:
            task.cancel()
        for one in self._sockets:
            one.close()

    async def close(self) -> None:
        """End every connection."""
        self.close_door()
        for visit in list(self._visits.values()):
            visit.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arrived(self, visit: Visit) -> float:
        """A connection begins, as a stranger.

        Returns:
            Seconds that it has to wait: its address had many that were turned away.
        """
        self._visits[visit.name] = visit
        self._strangers.setdefault(visit.address, {})[visit] = None
        while len(self._visits) > self.limits.connections or self._count() > self.limits.strangers:
            address, visits = max(self._strangers.items(), key=lambda one: len(one[1]))
            if len(visits) > MARKED_STRANGERS:
                self.mark(address)
            self._drop(next(iter(visits)), "crowded")
        return PENALTY_S if self._is_marked(visit.address) else 0.0

    def admitted(self, visit: Visit) -> None:
        """One of its calls was admitted: no longer a stranger."""
        strangers = self._strangers.get(visit.address, {})
        strangers.pop(visit, None)
        if not strangers:
            self._strangers.pop(visit.address, None)

    def left(self, visit: Visit) -> None:
        """A connection has ended."""
        self._visits.pop(visit.name, None)
        self.admitted(visit)

    def mark(self, address: str, by: float = 1.0) -> None:
        """Remember for a while that an address sends what is turned away."""
        if len(self._marks) < MAX_MARKED or address in self._marks:
            self._marks[address] = self._marks.get(address, 0.0) + by

    def turn_away(self, visit: Visit, reason: str) -> None:
        """Close a connection for what it did, which its address is marked for."""
        self.mark(visit.address)
        self._drop(visit, reason)

    def is_stranger(self, visit: Visit) -> bool:
        """Whether no call of it was admitted so far."""
        return visit in self._strangers.get(visit.address, {})

    def _drop(self, visit: Visit, reason: str) -> None:
        self._metrics.hung_up(reason)
        visit.end()

    def _count(self) -> int:
        return sum(map(len, self._strangers.values()))

    def _is_marked(self, address: str) -> bool:
        return self._marks.get(address, 0.0) > BAD_MARKS

    def _is_shut_to(self, address: str) -> bool:
        """Whether a marked address has as many strangers here as it may."""
        return self._is_marked(address) and len(self._strangers.get(address, {})) >= MARKED_STRANGERS

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(PAUSE_S)
                continue
            with suppress(OSError):
                if accepted.family != socket.AF_UNIX:
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                whose = client_address(accepted, address)
                if self._is_shut_to(whose):
                    self._metrics.hung_up("crowded")
                    accepted.close()
                    continue
                name = self._prefix + str(next(self._numbers))
                await loop.connect_accepted_socket(lambda n=name, w=whose: Visit(self, n, w), accepted)  # type: ignore[misc]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for visit in list(self._visits.values()):
                if self.is_stranger(visit) and now - visit.moved > self.limits.greet_s:
                    self._drop(visit, "silent")
                elif not visit.calls and now - visit.moved > self.limits.idle_s:
                    self._drop(visit, "idle")
            self._marks = {one: marks * FADING for one, marks in self._marks.items() if marks * FADING > 1}


class Visit(asyncio.BufferedProtocol):
    """One connection: the client's end.

    Attributes:
        name: gRPC's peer name of it.
        address: Whose it is: an address, without its port.
        moved: ``time.monotonic()`` when it began, or when an admitted call began or ended.
        calls: Open and admitted.
    """

    def __init__(self, gate: ConnectionGate, name: str, address: str) -> None:
        self._gate, self.name, self.address = gate, name, address
        self.moved, self.calls = time.monotonic(), 0
        self._refusals = self._received = 0
        self._is_admitted = self._is_waiting = self._was_polite = False
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
        """A stranger asked what strangers may ask: its time begins anew."""
        self.moved, self._was_polite = time.monotonic(), True

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
        if penalty_s:
            transport.pause_reading()
            asyncio.get_running_loop().call_later(penalty_s, self.resume_reading)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._gate.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(memoryview(self._gate.buffer)[:nbytes])
        if not self._is_admitted:
            self._received += nbytes
            if self._received >= STRANGER_BYTES[self._gate.limits.is_encrypted]:
                self._is_waiting = True
                self.pause_reading()
        if self._inner is not None:
            self._inner.write(data)
        else:
            self._greeted(self._early + data)

    def _greeted(self, early: bytes) -> None:
        """The first bytes decide whether gRPC hears of it at all."""
        self._early, wanted = early, GREETINGS[self._gate.limits.is_encrypted]
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
        if self._gate.is_stranger(self) and not self._was_polite:
            self._gate.mark(self.address, LEFT_MARK)
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


def client_address(accepted: socket.socket, address: object) -> str:
    """Whose connection it is: an IPv4 address, an IPv6 network of 64 bits, or the user of a Unix socket."""
    if accepted.family == socket.AF_UNIX:
        raw = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return f"user {_CREDENTIALS.unpack(raw)[1]}"
    host = ipaddress.ip_address(str(address[0]).partition("%")[0])  # type: ignore[index]
    if isinstance(host, ipaddress.IPv4Address):
        return str(host)
    if host.ipv4_mapped is not None:
        return str(host.ipv4_mapped)
    return str(ipaddress.IPv6Network((host, 64), strict=False))
