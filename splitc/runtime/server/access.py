"""Admission: bearer tokens, and a rate limit for each client."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from splitc.runtime.security import is_known
from splitc.runtime.server.metrics import Metrics

BEARER = "Bearer "
OPEN_TO_ALL = {"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady"}
"""What a load balancer asks without a token."""
MAX_CLIENTS = 4096


class Rates:
    """A token bucket for each client: ``rate`` requests a second, and bursts of one second's worth.

    Args:
        rate: Requests a second.
        by_token: Tokens are checked: each is a client. Else each address is one.
        clock: Seconds.
    """

    def __init__(self, rate: float, *, by_token: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._by_token, self._clock = rate, by_token, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def client_of(self, context: Any) -> str:
        """Whom a request counts for: the token if tokens are checked (others can be made up), else the address."""
        said = dict(context.invocation_metadata() or ()).get("authorization") if self._by_token else None
        return str(said or context.peer().rpartition(":")[0])

    def take(self, client: str) -> bool:
        """Whether this client may send one more now."""
        now, most = self._clock(), max(self._rate, 1.0)
        left, since = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - since) * self._rate)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


class RequireToken(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without a known bearer token."""

    def __init__(self, tokens: tuple[str, ...], metrics: Metrics) -> None:
        self._tokens, self._metrics = tokens, metrics

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method in OPEN_TO_ALL:
            return handler
        said = dict(handler_call_details.invocation_metadata or ()).get("authorization", "")
        if said.startswith(BEARER) and is_known(said[len(BEARER) :], self._tokens):
            return handler
        self._metrics.refused("token")
        return _refusing(handler)


def _refusing(handler: Any) -> Any:
    """The same kind of method, which ends every call."""

    async def refuse_one(request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no known bearer token: give one with --token-file.")

    async def refuse_stream(requests: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no known bearer token: give one with --token-file.")
        yield  # makes this a generator, as a streaming method is

    if handler.request_streaming:
        return grpc.stream_stream_rpc_method_handler(
            refuse_stream, handler.request_deserializer, handler.response_serializer
        )
    return grpc.unary_unary_rpc_method_handler(refuse_one, handler.request_deserializer, handler.response_serializer)
