"""Admission: who calls, by token, certificate or address, before any message is read; and a rate for each client."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from splitc.runtime.security import known_token
from splitc.runtime.server.connection import Connection
from splitc.runtime.server.metrics import Metrics

BEARER = "Bearer "
HEALTH = frozenset({"ServerLive", "ServerReady"})
"""What a load balancer asks without a token."""
MAX_CLIENTS = 4096


class Rates:
    """A token bucket for each client: ``rate`` requests a second, and bursts of one second's worth.

    Args:
        rate: Requests a second.
        clock: Seconds.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Whether this client may send one more now."""
        now, most = self._clock(), max(self._rate, 1.0)
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * self._rate)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


class NotAdmittedError(Exception):
    """A call is refused before anything of it is read: a status, and why."""

    def __init__(self, code: grpc.StatusCode, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True)
class Caller:
    """Whose call it is: a client, and the connection that it came on."""

    client: str
    connection: Connection


class Admission:
    """Who may call.

    Args:
        tokens: Bearer tokens, one of which a call must have; none: anyone may.
        connection_of: The connection behind gRPC's peer name.
        metrics: Counts refusals.
    """

    def __init__(
        self, tokens: tuple[str, ...], connection_of: Callable[[str], Connection | None], metrics: Metrics
    ) -> None:
        self._tokens, self._connection_of, self._metrics = tokens, connection_of, metrics

    def caller(self, context: Any, method: str) -> Caller:
        """Whose call it is, from its metadata and its connection alone.

        Raises:
            NotAdmittedError: No known token where one is needed, or a connection that did not come by the gate.
        """
        connection = self._connection_of(context.peer())
        if connection is None:
            raise NotAdmittedError(grpc.StatusCode.UNAVAILABLE, "this connection is being closed.")
        if method in HEALTH:
            return Caller(f"address {connection.address}", connection)
        number = self._token(context) if self._tokens else -1
        if self._tokens and number < 0:
            self._metrics.refused("token")
            connection.was_refused()
            why = "no known bearer token: give one with --token-file."
            raise NotAdmittedError(grpc.StatusCode.UNAUTHENTICATED, why)
        return Caller(client_of(number, connection.identity, connection.address), connection)

    def _token(self, context: Any) -> int:
        said = dict(context.invocation_metadata() or ()).get("authorization", "")
        return known_token(said[len(BEARER) :], self._tokens) if said.startswith(BEARER) else -1


def client_of(token: int, identity: str | None, address: str) -> str:
    """Whom a call counts for: its token, else its certificate, else its address; a made-up token is none of these."""
    if token >= 0:
        return f"token {token}"
    return f"certificate {identity}" if identity else f"address {address}"
