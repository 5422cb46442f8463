"""The Open Inference Protocol over the served models (KServe "v2", with Triton's bidirectional stream)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2 as triton_config
from tritonclient.grpc import service_pb2 as oip
from tritonclient.utils import np_to_triton_dtype

from splitc.codec import Decoder
from splitc.errors import BitstreamError, SplitcError, UsageError
from splitc.runtime import protocol
from splitc.runtime.server.access import Rates
from splitc.runtime.server.calls import STREAM, Call
from splitc.runtime.server.methods import parser
from splitc.runtime.server.metrics import Metrics
from splitc.runtime.server.models import Answered, ServedModel
from splitc.runtime.server.pulse import Pulse, StreamLimits
from splitc.runtime.server.requests import FINAL, Refusal, check_parameters, only, unknown_model, wanted_outputs
from splitc.runtime.server.statistics import ModelStatistics
from splitc.runtime.server.turns import TurnOwner
from splitc.runtime.server.work import Held, PacketWork
from splitc.types import Array, TensorSpec
from splitc.version import __version__

STOPPED = {
    "unread": "answers were not read for too long; open a new stream.",
    "idle": "no packet came for too long; open a new stream when there is one.",
}
ENDING = "this server is ending; open a new stream, there or elsewhere."


@dataclass(eq=False)
class InWork:
    """A packet of a stream: its answer to come, and what it holds until that was taken."""

    reply: asyncio.Future[Any]
    held: Held | None = None

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.reply.cancel()
        if self.held is not None:
            self.held.give_back()


class Received(NamedTuple):
    """What a request holds: a packet, and inputs beside it. Each look into the message copies what it finds."""

    packet: bytes
    given: Mapping[str, Array]


Replies: TypeAlias = "asyncio.Queue[InWork | None]"


class InferenceService:
    """All methods a client of splitc or a stock client calls.

    A stream is one sequence of packets with a decoder of its own. A single call decodes without history.
    """

    def __init__(
        self,
        models: Mapping[str, ServedModel],
        metrics: Metrics,
        rates: Rates | None,
        limits: StreamLimits,
        work: PacketWork,
        max_message_bytes: int,
    ) -> None:
        self._largest = str(max_message_bytes)
        self._models, self._metrics, self._rates = models, metrics, rates
        self._limits, self._work = limits, work
        self._statistics: dict[str, ModelStatistics] = defaultdict(ModelStatistics)
        self._parse = parser(STREAM)
        self._readers: set[asyncio.Task[None]] = set()
        self.is_ready = True

    def end_streams(self) -> None:
        """Read no more; what was read is still answered."""
        self.is_ready = False
        for reader in self._readers:
            reader.cancel()

    def ServerLive(self) -> Any:
        return oip.ServerLiveResponse(live=True)

    def ServerReady(self) -> Any:
        return oip.ServerReadyResponse(ready=self.is_ready)

    async def ModelReady(self, request: Any, call: Call) -> Any:
        is_there = unknown_model(request.name, request.version, list(self._models)) is None
        return oip.ModelReadyResponse(ready=self.is_ready and is_there)

    async def ServerMetadata(self, request: Any, call: Call) -> Any:
        extensions = ["model_configuration", "statistics"]
        return oip.ServerMetadataResponse(name="splitc", version=__version__, extensions=extensions)

    async def RepositoryIndex(self, request: Any, call: Call) -> Any:
        reply = oip.RepositoryIndexResponse()
        for name in self._models:
            reply.models.add(name=name, version="1", state="READY")
        return reply

    async def ModelMetadata(self, request: Any, call: Call) -> Any:
        model = await self._model_or_abort(request, call)
        reply = oip.ModelMetadataResponse(name=model.name, versions=["1"], platform="splitc")
        reply.inputs.add(name=protocol.PACKET, datatype="UINT8", shape=[-1])
        for spec in model.given:
            reply.inputs.add(name=spec.name, datatype=_oip_dtype(spec), shape=_sizes(spec))
        for spec in model.outputs:
            reply.outputs.add(name=spec.name, datatype=_oip_dtype(spec), shape=_sizes(spec))
        return reply

    async def ModelConfig(self, request: Any, call: Call) -> Any:
        model = await self._model_or_abort(request, call)
        config = triton_config.ModelConfig(name=model.name, platform="splitc", max_batch_size=0)
        config.parameters[protocol.PAIR_ID].string_value = model.pair_id
        config.parameters[protocol.LARGEST].string_value = self._largest
        config.input.add(name=protocol.PACKET, data_type="TYPE_UINT8", dims=[-1])
        for spec in model.given:
            config.input.add(name=spec.name, data_type=f"TYPE_{_oip_dtype(spec)}", dims=_sizes(spec))
        for spec in model.outputs:
            kind = "TYPE_" + _oip_dtype(spec).replace("BYTES", "STRING")
            config.output.add(name=spec.name, data_type=kind, dims=_sizes(spec))
        return oip.ModelConfigResponse(config=config)

    async def ModelStatistics(self, request: Any, call: Call) -> Any:
        if request.name:
            await self._model_or_abort(request, call)
        names = [request.name] if request.name else list(self._models)
        return oip.ModelStatisticsResponse(model_stats=[self._statistics[name].message(name) for name in names])

    async def ModelInfer(self, request: Any, call: Call) -> Any:
        try:
            model = self._admitted(request, call)
            received = _received(model, request)
            call.leaving.callback((await self._held(model, received, call)).give_back)
            feeds, decode_ms = await self._decoded(model, model.decoder(), received, call)
            return self._reply(model, request, await self._answered(model, feeds, decode_ms, call.owner), call)
        except Refusal as refusal:
            self._failed(request, refusal)
            await call.abort(refusal.code, str(refusal))

    async def ModelStreamInfer(self, call: Call) -> None:
        replies: Replies = asyncio.Queue(self._limits.pending)
        pulse = Pulse(self._limits)
        reader = asyncio.create_task(self._read(call, replies, pulse))
        writer = asyncio.create_task(_write(replies, call, pulse))
        watch = asyncio.create_task(pulse.stopped())
        self._readers.add(reader)
        self._metrics.stream_opened()
        try:
            await asyncio.wait({writer, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, writer, watch):
                task.cancel()
            await asyncio.gather(reader, writer, *_dropped(replies), return_exceptions=True)
            await asyncio.gather(*_dropped(replies), return_exceptions=True)
            self._readers.discard(reader)
            self._metrics.stream_closed()
        if watch.done() and not watch.cancelled():
            self._metrics.stopped(watch.result())
            await call.abort(grpc.StatusCode.DEADLINE_EXCEEDED, STOPPED[watch.result()])
        writer.result()
        if not self.is_ready:
            await call.abort(grpc.StatusCode.UNAVAILABLE, ENDING)

    async def _read(self, call: Call, replies: Replies, pulse: Pulse) -> None:
        """Decode a stream's packets in their order; the tails run beside. A full queue stops the reading."""
        decoders: dict[str, Decoder] = {}
        try:
            while (message := await call.read()) is not None:
                pulse.received()
                begun = await self._begun(self._parse(message), call, decoders)
                try:
                    await replies.put(begun)
                except asyncio.CancelledError:
                    begun.drop()
                    raise
        finally:
            await replies.put(None)

    async def _begun(self, request: Any, call: Call, decoders: dict[str, Decoder]) -> InWork:
        """The reply to come. A request of None is a message that could not be read."""
        held = None
        try:
            if request is None:
                request = oip.ModelInferRequest()
                raise Refusal(protocol.REFUSED, "the message is not a ModelInferRequest.")
            model = self._admitted(request, call)
            received = _received(model, request)
            held = await self._held(model, received, call)
            decoder = decoders.setdefault(model.name, model.decoder())
            feeds, decode_ms = await self._decoded(model, decoder, received, call)
        except Refusal as refusal:
            done = asyncio.get_running_loop().create_future()
            done.set_result(self._fault(request, refusal, call))
            return InWork(done, held)
        except BaseException:
            if held is not None:
                held.give_back()
            raise
        return InWork(asyncio.create_task(self._streamed(model, request, feeds, decode_ms, call)), held)

    async def _streamed(self, model: ServedModel, request: Any, feeds: Any, decode_ms: float, call: Call) -> Any:
        try:
            answered = await self._answered(model, feeds, decode_ms, call.owner)
        except Refusal as refusal:
            return self._fault(request, refusal, call)
        reply = self._reply(model, request, answered, call)
        reply.parameters[FINAL].bool_param = True
        return oip.ModelStreamInferResponse(infer_response=reply)

    def _admitted(self, request: Any, call: Call) -> ServedModel:
        """The requested model, if version, pair id, parameters and rate limit allow it."""
        refusal = unknown_model(request.model_name, request.model_version, list(self._models))
        if refusal is not None:
            raise refusal
        model = self._models[request.model_name]
        pair = protocol.pair_of(request)
        if pair is not None and pair != model.pair_id:
            raise Refusal(
                protocol.FOREIGN,
                f"{model.name}: the edge half is of pair {pair[:12]}, this server's half of pair {model.pair_id[:12]}; "
                "use the two halves of one bundle.",
            )
        check_parameters(request)
        wanted_outputs(request, [spec.name for spec in model.outputs])
        if self._rates is not None and not self._rates.take(call.owner.client):
            raise Refusal(protocol.BUSY, "too many requests a second from this client; send fewer.")
        return model

    async def _held(self, model: ServedModel, received: Received, call: Call) -> Held:
        """Memory for the packet, once there is some."""
        try:
            size = model.work_bytes(received.packet) + sum(array.nbytes for array in received.given.values())
            return await self._work.hold(call.owner, size)
        except UsageError as error:
            raise Refusal(protocol.REFUSED, str(error)) from error
        except BitstreamError as error:
            raise Refusal(protocol.DAMAGED, str(error)) from error

    async def _decoded(self, model: ServedModel, decoder: Decoder, received: Received, call: Call) -> tuple[Any, float]:
        try:
            feeds, decode_ms = await model.decode(decoder, received.packet, call.owner)
            return {**feeds, **received.given}, decode_ms
        except BitstreamError as error:
            raise Refusal(protocol.DAMAGED, str(error)) from error

    async def _answered(self, model: ServedModel, feeds: Any, decode_ms: float, owner: TurnOwner) -> Answered:
        try:
            return await model.answer(feeds, decode_ms, owner)
        except SplitcError as error:
            raise Refusal(protocol.REFUSED, str(error)) from error

    def _reply(self, model: ServedModel, request: Any, answered: Answered, call: Call) -> Any:
        call.connection.answered()
        packet_bytes = request.inputs[0].shape[-1]
        self._metrics.answered(model.name, packet_bytes, answered.ms, answered.batch)
        self._statistics[model.name].note(answered.ms, answered.batch)
        outputs = only(answered.outputs, wanted_outputs(request, list(answered.outputs)))
        return protocol.answer_reply(model.name, request.id, outputs, answered.ms)

    def _fault(self, request: Any, refusal: Refusal, call: Call) -> Any:
        call.connection.failed()
        self._failed(request, refusal)
        return protocol.fault_reply(request.model_name, request.id, refusal.fault, str(refusal))

    def _failed(self, request: Any, refusal: Refusal) -> None:
        """Count it, under a fixed name for unknown models: every label is a series of a metric."""
        name = request.model_name if request.model_name in self._models else "unknown"
        self._metrics.failed(name, refusal.fault)
        if name in self._models:
            self._statistics[name].failed += 1

    async def _model_or_abort(self, request: Any, call: Call) -> ServedModel:
        refusal = unknown_model(request.name, request.version, list(self._models))
        if refusal is not None:
            await call.abort(refusal.code, str(refusal))
        return self._models[request.name]


def _received(model: ServedModel, request: Any) -> Received:
    try:
        given = protocol.given_of(request, model.given)
        return Received(protocol.packet_of(request), given)
    except UsageError as error:
        raise Refusal(protocol.REFUSED, str(error)) from error


async def _write(replies: Replies, call: Call, pulse: Pulse) -> None:
    """Send answers in the order of their packets; each goes on once the client's window has room for it."""
    while (one := await replies.get()) is not None:
        try:
            answer = (await one.reply).SerializeToString()
            pulse.sending()
            await call.write(answer)
            pulse.sent()
        finally:
            one.drop()


def _oip_dtype(spec: TensorSpec) -> str:
    return str(np_to_triton_dtype(np.dtype(spec.dtype)))


def _sizes(spec: TensorSpec) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in spec.shape]


def _dropped(replies: Replies) -> list[asyncio.Future[Any]]:
    """Cancel replies that are no longer awaited; a reader that waits for room in the queue goes on."""
    left = []
    while not replies.empty():
        one = replies.get_nowait()
        if one is not None:
            one.drop()
            left.append(one.reply)
    return left
