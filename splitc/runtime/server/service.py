"""The Open Inference Protocol over the served models (KServe "v2", with Triton's bidirectional stream)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2 as triton_config
from tritonclient.grpc import service_pb2 as oip
from tritonclient.utils import np_to_triton_dtype

from splitc.codec import Decoder
from splitc.errors import BitstreamError, SplitcError, UsageError
from splitc.runtime import protocol
from splitc.runtime.server.access import Rates
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.models import Answered, ServedModel
from splitc.runtime.server.pulse import Pulse, StreamLimits
from splitc.types import TensorSpec
from splitc.version import __version__

Replies: TypeAlias = "asyncio.Queue[asyncio.Future[Any] | None]"


class Refusal(Exception):
    """One request is not answered: which fault, and why."""

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


CODES = {
    protocol.DAMAGED: grpc.StatusCode.DATA_LOSS,
    protocol.BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    protocol.REFUSED: grpc.StatusCode.INVALID_ARGUMENT,
}
STOPPED = {
    "unread": "answers were not read for too long; open a new stream.",
    "idle": "no packet came for too long; open a new stream when there is one.",
}


class InferenceService:
    """All methods a client of splitc or a stock client calls; the others are unimplemented.

    A stream is one sequence of packets with a decoder of its own. A single call decodes without history.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        metrics: Metrics,
        rates: Rates | None,
        limits: StreamLimits,
    ) -> None:
        self._models, self._metrics, self._rates = models, metrics, rates
        self._limits = limits
        self._readers: set[asyncio.Task[None]] = set()
        self.is_ready = True

    def end_streams(self) -> None:
        """Read no more; what was read is still answered."""
        self.is_ready = False
        for reader in self._readers:
            reader.cancel()

    async def ServerLive(self, request: Any, context: Any) -> Any:
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return oip.ServerReadyResponse(ready=self.is_ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        return oip.ModelReadyResponse(ready=self.is_ready and request.name in self._models)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        return oip.ServerMetadataResponse(name="splitc", version=__version__, extensions=["model_configuration"])

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:
        reply = oip.RepositoryIndexResponse()
        for name in self._models:
            reply.models.add(name=name, version="1", state="READY")
        return reply

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        model = await self._model_or_abort(request.name, context)
        reply = oip.ModelMetadataResponse(name=model.name, versions=["1"], platform="splitc")
        reply.inputs.add(name=protocol.PACKET, datatype="UINT8", shape=[-1])
        for spec in model.outputs:
            reply.outputs.add(name=spec.name, datatype=_oip_dtype(spec), shape=_sizes(spec))
        return reply

    async def ModelConfig(self, request: Any, context: Any) -> Any:
        model = await self._model_or_abort(request.name, context)
        config = triton_config.ModelConfig(name=model.name, platform="splitc", max_batch_size=0)
        config.parameters[protocol.PAIR_ID].string_value = model.pair_id
        config.input.add(name=protocol.PACKET, data_type="TYPE_UINT8", dims=[-1])
        for spec in model.outputs:
            kind = "TYPE_" + _oip_dtype(spec).replace("BYTES", "STRING")
            config.output.add(name=spec.name, data_type=kind, dims=_sizes(spec))
        return oip.ModelConfigResponse(config=config)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        try:
            model = self._admitted(request, context)
            answered = await self._answered(model, *await self._decoded(model, model.decoder(), request))
        except Refusal as refusal:
            self._metrics.failed(self._label(request), refusal.fault)
            await context.abort(CODES[refusal.fault], str(refusal))
        return self._reply(model, request, answered)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> None:
        if not self.is_ready or len(self._readers) >= self._limits.streams:
            self._metrics.refused("streams")
            why = f"{len(self._readers)} streams are open, as many as it takes" if self.is_ready else "it is ending"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"this server has no room: {why}; try later.")
        replies: Replies = asyncio.Queue(self._limits.pending)
        pulse = Pulse(self._limits)
        reader = asyncio.create_task(self._read(requests, context, replies, pulse))
        writer = asyncio.create_task(_write(replies, context, pulse))
        watch = asyncio.create_task(pulse.stopped())
        self._readers.add(reader)
        self._metrics.stream_opened()
        try:
            await asyncio.wait({writer, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer, watch):
                task.cancel()
            await asyncio.gather(reader, writer, *_drained(replies), return_exceptions=True)
            self._readers.discard(reader)
            self._metrics.stream_closed()
        if watch.done() and not watch.cancelled():
            self._metrics.stopped(watch.result())
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, STOPPED[watch.result()])
        writer.result()

    async def _read(self, requests: AsyncIterator[Any], context: Any, replies: Replies, pulse: Pulse) -> None:
        """Decode a stream's packets in their order; the tails run beside. A full queue stops the reading."""
        decoders: dict[str, Decoder] = {}
        try:
            async for request in requests:
                pulse.received()
                await replies.put(await self._begun(request, context, decoders))
        finally:
            await replies.put(None)

    async def _begun(self, request: Any, context: Any, decoders: dict[str, Decoder]) -> asyncio.Future[Any]:
        """The reply to come. A request of None is a message that could not be read."""
        try:
            if request is None:
                request = oip.ModelInferRequest()
                raise Refusal(protocol.REFUSED, "the message is not a ModelInferRequest.")
            model = self._admitted(request, context)
            decoder = decoders.setdefault(model.name, model.decoder())
            feeds, decode_ms = await self._decoded(model, decoder, request)
        except Refusal as refusal:
            done = asyncio.get_running_loop().create_future()
            done.set_result(self._fault(request, refusal))
            return done
        return asyncio.create_task(self._streamed(model, request, feeds, decode_ms))

    async def _streamed(self, model: ServedModel, request: Any, feeds: Any, decode_ms: float) -> Any:
        try:
            answered = await self._answered(model, feeds, decode_ms)
        except Refusal as refusal:
            return self._fault(request, refusal)
        return oip.ModelStreamInferResponse(infer_response=self._reply(model, request, answered))

    def _admitted(self, request: Any, context: Any) -> ServedModel:
        """The requested model, if pair id and rate limit allow it."""
        model = self._models.get(request.model_name)
        if model is None:
            raise Refusal(protocol.REFUSED, _no_model(request.model_name, self._models))
        pair = protocol.pair_of(request)
        if pair is not None and pair != model.pair_id:
            raise Refusal(
                protocol.REFUSED,
                f"{model.name}: the edge half is of pair {pair[:12]}, this server's half of pair {model.pair_id[:12]}; "
                "use the two halves of one bundle.",
            )
        if self._rates is not None and not self._rates.take(self._rates.client_of(context)):
            raise Refusal(protocol.BUSY, "too many requests a second from this client; send fewer.")
        return model

    async def _decoded(self, model: ServedModel, decoder: Decoder, request: Any) -> tuple[Any, float]:
        try:
            return await model.decode(decoder, protocol.packet_of(request))
        except UsageError as error:
            raise Refusal(protocol.REFUSED, str(error)) from error
        except BitstreamError as error:
            raise Refusal(protocol.DAMAGED, str(error)) from error

    async def _answered(self, model: ServedModel, feeds: Any, decode_ms: float) -> Answered:
        try:
            return await model.answer(feeds, decode_ms)
        except SplitcError as error:
            raise Refusal(protocol.REFUSED, str(error)) from error

    def _reply(self, model: ServedModel, request: Any, answered: Answered) -> Any:
        size = len(request.raw_input_contents[0])
        self._metrics.answered(model.name, size, answered.ms, answered.batch)
        return protocol.answer_reply(model.name, request.id, answered.outputs, answered.ms)

    def _fault(self, request: Any, refusal: Refusal) -> Any:
        self._metrics.failed(self._label(request), refusal.fault)
        return protocol.fault_reply(request.model_name, request.id, refusal.fault, str(refusal))

    def _label(self, request: Any) -> str:
        """A model's name, or a fixed one for unknown models: every label is a series of a metric."""
        return request.model_name if request.model_name in self._models else "unknown"

    async def _model_or_abort(self, name: str, context: Any) -> ServedModel:
        if name not in self._models:
            await context.abort(grpc.StatusCode.NOT_FOUND, _no_model(name, self._models))
        return self._models[name]


async def _write(replies: Replies, context: Any, pulse: Pulse) -> None:
    """Send answers in the order of their packets; each goes on once the client's window has room for it."""
    while (reply := await replies.get()) is not None:
        answer = await reply
        pulse.sending()
        await context.write(answer)
        pulse.sent()


def _no_model(name: str, models: Mapping[str, ServedModel]) -> str:
    return f"no bundle {name[:80]!r} is served here; there {'is' if len(models) == 1 else 'are'} {', '.join(models)}."


def _oip_dtype(spec: TensorSpec) -> str:
    return str(np_to_triton_dtype(np.dtype(spec.dtype)))


def _sizes(spec: TensorSpec) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in spec.shape]


def _drained(replies: Replies) -> list[asyncio.Future[Any]]:
    """Cancel replies that are no longer awaited."""
    left = []
    while not replies.empty():
        reply = replies.get_nowait()
        if reply is not None:
            reply.cancel()
            left.append(reply)
    return left
