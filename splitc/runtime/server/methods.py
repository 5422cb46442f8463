"""The protocol's methods that are served, behind a parser that takes any bytes.

grpc's own registration writes a traceback to the log for each message that is none and for each method that is not
there: a stranger could fill the disk. Here the first is a refusal like any other, and the second is grpc's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import grpc
from google.protobuf import message_factory
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as oip

from splitc.runtime.server.metrics import Metrics

SERVICE = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"]
UNARY = (
    *("ServerLive", "ServerReady", "ServerMetadata", "RepositoryIndex"),
    *("ModelReady", "ModelMetadata", "ModelConfig", "ModelInfer"),
)
STREAM = "ModelStreamInfer"


class Streams(Protocol):
    """What takes a stream: None stands for a message that is not one of the protocol."""

    def ModelStreamInfer(self, requests: Any, context: Any) -> Any: ...  # noqa: N802


def handlers(service: Streams, metrics: Metrics) -> grpc.GenericRpcHandler:
    """Handlers of all methods that ``service`` has.

    Args:
        service: Coroutines named as the protocol's methods.
        metrics: Counts malformed messages.
    """
    found = {
        name: grpc.unary_unary_rpc_method_handler(
            _refuse_unreadable(getattr(service, name), name, metrics), _parser(name), _as_bytes
        )
        for name in UNARY
    }
    found[STREAM] = grpc.stream_stream_rpc_method_handler(service.ModelStreamInfer, _parser(STREAM), _as_bytes)
    return grpc.method_handlers_generic_handler(SERVICE.full_name, found)


def _refuse_unreadable(method: Callable[..., Any], name: str, metrics: Metrics) -> Callable[..., Any]:
    async def answer(request: Any, context: Any) -> Any:
        if request is None:
            metrics.refused("unreadable")
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is not a {name}Request.")
        return await method(request, context)

    return answer


def _parser(name: str) -> Callable[[bytes], Any]:
    kind = message_factory.GetMessageClass(SERVICE.methods_by_name[name].input_type)

    def parse(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return parse


def _as_bytes(reply: Any) -> bytes:
    return bytes(reply.SerializeToString())
