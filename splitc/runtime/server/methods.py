"""The protocol's methods that are served, behind a parser that takes any bytes.

grpc's own registration writes a traceback to the log for each message that is none: a stranger could fill the disk.
Here it is a refusal like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import grpc
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as oip

from splitc.runtime.server.access import HEALTH
from splitc.runtime.server.calls import STREAM, Call, Door
from splitc.runtime.server.metrics import Metrics

SERVICE = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"]
UNARY = (
    *("ServerMetadata", "RepositoryIndex"),
    *("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer"),
)
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
"""What Kubernetes and balancers ask of any server; whichever service they name, the answer is of the whole one."""
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
"""``HealthCheckResponse``, of which ``status`` is the one field."""


class Served(Protocol):
    """What takes a stream, and knows whether it takes more."""

    def ServerReady(self) -> Any: ...  # noqa: N802

    async def ModelStreamInfer(self, call: Any) -> None: ...  # noqa: N802


class Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Handlers of all methods that ``service`` has.

    Args:
        service: Coroutines named as the protocol's methods.
        door: Lets calls in.
        metrics: Counts what is refused.
    """

    def __init__(self, service: Served, door: Door, metrics: Metrics) -> None:
        self._service, self._door, self._metrics = service, door, metrics
        self._known = {f"/{SERVICE.full_name}/{name}": self._handler(self._single(name)) for name in UNARY}
        self._known |= {f"/{SERVICE.full_name}/{name}": self._handler(self._health(name)) for name in HEALTH}
        self._known[HEALTH_CHECK] = self._handler(self._check)
        self._known[f"/{SERVICE.full_name}/{STREAM}"] = self._handler(self._stream)
        self._unknown = self._handler(self._refuse)

    def service(self, handler_call_details: Any) -> Any:
        """gRPC asks which handler a call gets."""
        return self._known.get(handler_call_details.method, self._unknown)

    def _handler(self, method: Callable[..., Any]) -> Any:
        return grpc.stream_stream_rpc_method_handler(method)

    def _single(self, name: str) -> Callable[..., Any]:
        """One message in, one out."""
        parse, method = parser(name), getattr(self._service, name)

        async def answer(_: Any, context: Any) -> None:
            async with self._door.entered(context, name) as call:
                request = await _request(call, parse)
                if request is None:
                    self._metrics.refused("unreadable")
                    await call.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is not a {name}Request.")
                reply = await method(request, call)
                await call.write_in_time(reply.SerializeToString())

        return answer

    def _health(self, name: str) -> Callable[..., Any]:
        """One message out; what came in is not read, since it says nothing."""
        method = getattr(self._service, name)

        async def answer(_: Any, context: Any) -> None:
            await self._answer_health(context, name, method().SerializeToString())

        return answer

    async def _check(self, _: Any, context: Any) -> None:
        status = SERVING if self._service.ServerReady().ready else NOT_SERVING
        await self._answer_health(context, "ServerReady", status)

    async def _answer_health(self, context: Any, name: str, answer: bytes) -> None:
        call = await self._door.asked_for_health(context, name)
        await call.write_in_time(answer)
        call.connection.answered_health()

    async def _stream(self, _: Any, context: Any) -> None:
        async with self._door.entered(context, STREAM) as call:
            await self._service.ModelStreamInfer(call)

    async def _refuse(self, _: Any, context: Any) -> None:
        async with self._door.entered(context, "") as call:
            self._metrics.refused("no such method")
            await call.abort(grpc.StatusCode.UNIMPLEMENTED, "this server has no such method.")


async def _request(call: Call, parse: Callable[[bytes], Any]) -> Any:
    """What a single call asks; its bytes are let go, since the request has them too. None for none."""
    message = await call.read_in_time()
    return None if message is None else parse(message)


def parser(name: str) -> Callable[[bytes], Any]:
    """Reads a method's request; None for bytes that are none."""
    kind = message_factory.GetMessageClass(SERVICE.methods_by_name[name].input_type)

    def parse(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return parse
