"""The door of a server: it accepts connections, knows which of them a call has been admitted on, and closes the others.

    client ══ socket ══► ConnectionGate: Connection: TLS, frames ── private socket ──► gRPC

gRPC itself cannot tell strangers' connections from those of clients with a token: it has one limit for all, and no
bound on how many of them wait, or for how long. The gate ends TLS and passes frames on, as many as their client's
budget has calls for. A connection is a *stranger* until one of its calls was admitted; strangers have few places,
little time, few bytes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from splitc.runtime.server.connection import BUFFER_BYTES, Connection
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.pace import Budget

SWEEP_S = 0.5
BAD_MARKS = 8.0
"""Connections of one address that were turned away lately: from then on its new ones wait, and few may."""
LEFT_MARK = 0.5
"""For one that left before a call of it was admitted,"""
PROBE_MARK = 0.04
"""or that asked for health before: eighty a second of one address are too many."""
FADING = 0.8
"""What is left of marks after each sweep."""
PENALTY_S = (0.5, 2.0)
"""How long they wait, at least and at most: not all of them until the same moment."""
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
        calls_a_second: That one client may begin beyond those that answers pay for; 0 for no bound.
    """

    connections: int
    strangers: int
    greet_s: float
    idle_s: float
    calls_a_second: float


class ConnectionGate:
    """Connections of one server.

    Args:
        limits: Bounds.
        target: Path of the private socket that gRPC listens on.
        metrics: Counts connections that are closed.
        tls: Certificates; None for plain text.
    """

    def __init__(self, limits: GateLimits, target: str, metrics: Metrics, tls: ssl.SSLContext | None) -> None:
        self.limits, self.target, self._metrics, self.tls = limits, target, metrics, tls
        self.buffer = bytearray(BUFFER_BYTES)
        self._connections: dict[str, Connection] = {}
        self._strangers: dict[str, dict[Connection, None]] = {}  # by address, oldest first
        self._marks: dict[str, float] = {}
        self._budgets: dict[str, Budget] = {}
        self._prefix, self._numbers = f"splitc-{secrets.token_hex(8)}-", itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: Sequence[socket.socket] = ()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on these sockets, which listen already, from now on."""
        self._sockets = sockets
        self._tasks = [asyncio.create_task(self._accept(one)) for one in sockets]
        self._tasks.append(asyncio.create_task(self._sweep()))

    def connection_of(self, peer: str) -> Connection | None:
        """The connection that gRPC knows by this name."""
        return self._connections.get(peer.removeprefix("unix-abstract:"))

    def budget(self, whose: str) -> Budget:
        """What a client, or the strangers of an address, may begin on all connections together."""
        return self._budgets.setdefault(whose, Budget(self.limits.calls_a_second))

    def close_door(self) -> None:
        """Accept no more; those inside stay."""
        for task in self._tasks:
            task.cancel()
        for one in self._sockets:
            one.close()

    async def close(self) -> None:
        """End every connection."""
        self.close_door()
        for connection in list(self._connections.values()):
            connection.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arrived(self, connection: Connection) -> float:
        """A connection begins, as a stranger.

        Returns:
            Seconds that it has to wait: its address had many that were turned away.
        """
        self._connections[connection.name] = connection
        self._strangers.setdefault(connection.address, {})[connection] = None
        if self._count() > self.limits.strangers:
            self._drop_stranger()
        if len(self._connections) > self.limits.connections:
            self._make_room()
        return random.uniform(*PENALTY_S) if self._is_marked(connection.address) else 0.0

    def admitted(self, connection: Connection) -> None:
        """One of its calls was admitted: no longer a stranger."""
        strangers = self._strangers.get(connection.address, {})
        strangers.pop(connection, None)
        if not strangers:
            self._strangers.pop(connection.address, None)

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        if self._connections.pop(connection.name, None) is not None and self.is_stranger(connection):
            self.mark(connection.address, PROBE_MARK if connection.probes else LEFT_MARK)
        self.admitted(connection)

    def mark(self, address: str, by: float = 1.0) -> None:
        """Remember for a while that an address sends what is turned away."""
        if len(self._marks) < MAX_MARKED or address in self._marks:
            self._marks[address] = self._marks.get(address, 0.0) + by

    def reject(self, connection: Connection, reason: str) -> None:
        """Close a connection for what it did, which its address is marked for."""
        self.mark(connection.address)
        self._drop(connection, reason)

    def paced(self) -> None:
        """Frames of a connection wait for their client's budget."""
        self._metrics.paced()

    def is_stranger(self, connection: Connection) -> bool:
        """Whether no call of it was admitted so far."""
        return connection in self._strangers.get(connection.address, {})

    def _make_room(self) -> None:
        """Close what has been without a call for longest, whoever's it is; where all have one, a stranger."""
        unused = [one for one in self._connections.values() if not one.calls and not self.is_stranger(one)]
        if unused:
            self._drop(min(unused, key=lambda one: one.moved), "crowded")
        else:
            self._drop_stranger()

    def _drop_stranger(self) -> None:
        """The oldest one of the address that has the most."""
        address, connections = max(self._strangers.items(), key=lambda one: len(one[1]))
        if len(connections) > MARKED_STRANGERS:
            self.mark(address)
        self._drop(next(iter(connections)), "crowded")

    def _drop(self, connection: Connection, reason: str) -> None:
        self._metrics.hung_up(reason)
        connection.abort()

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
            with suppress(OSError, ValueError):  # it is gone already
                await self._welcome(accepted, address)

    async def _welcome(self, accepted: socket.socket, address: object) -> None:
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whose = client_address(accepted, address)
        if self._is_shut_to(whose):
            self._metrics.hung_up("crowded")
            accepted.close()
            return
        name = self._prefix + str(next(self._numbers))
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self, name, whose), accepted)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now = time.monotonic()
            for connection in list(self._connections.values()):
                if self.is_stranger(connection) and now - connection.moved > self.limits.greet_s:
                    self._drop(connection, "silent")
                elif not connection.calls and now - connection.moved > self.limits.idle_s:
                    self._drop(connection, "idle")
            self._forget()

    def _forget(self) -> None:
        """Marks fade; budgets go that are as a new one would be, and that no connection pays with."""
        self._marks = {one: marks * FADING for one, marks in self._marks.items() if marks * FADING > 1}
        paying = {connection.budget for connection in self._connections.values()}
        self._budgets = {whose: one for whose, one in self._budgets.items() if one in paying or not one.is_full}


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
