"""A server that keeps to gRPC and lies in what it says with it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as oip

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, protocol

SERVICE = "inference.GRPCInferenceService"


@dataclass
class Liar:
    """The cloud half of a bundle, and what is said in place of its answers.

    Attributes:
        half: Knows the truth.
        spoil: Changes one true reply, or makes others of it.
        config: What the handshake is answered with; None: nothing, for as long as the caller waits.
        over: Ends waits.
    """

    half: CloudHalf
    model: str
    pair_id: str
    spoil: Callable[[Any], Iterator[Any]]
    config: Callable[[Liar], Any] = field(default=lambda liar: liar.true_config())
    over: threading.Event = field(default_factory=threading.Event)

    def true_config(self) -> Any:
        reply = oip.ModelConfigResponse()
        reply.config.parameters[protocol.PAIR_ID].string_value = self.pair_id
        return reply

    def answer_config(self, request: bytes, context: Any) -> bytes:
        reply = self.config(self)
        if reply is None:
            self.over.wait(60)
            return b""
        return bytes(reply if isinstance(reply, bytes) else reply.SerializeToString())

    def stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for message in requests:
            request = oip.ModelInferRequest.FromString(message)
            outputs = self.half.answer(self.half.codec.decode_symbols(protocol.packet_of(request)))
            said = protocol.answer_reply(self.model, request.id, outputs, {"decode": 0.1, "queue": 0.0, "cloud": 0.1})
            for reply in self.spoil(oip.ModelStreamInferResponse(infer_response=said)):
                if reply is None:  # silence
                    self.over.wait(60)
                    return
                yield reply if isinstance(reply, bytes) else reply.SerializeToString()


@contextlib.contextmanager
def lying(bundle: Path, spoil: Callable[[Any], Iterator[Any]], **how: Any) -> Iterator[str]:
    """Its address, while it runs."""
    opened = open_bundle(bundle)
    liar = Liar(CloudHalf(opened), opened.name, opened.pair_id, spoil, **how)
    server = grpc.server(ThreadPoolExecutor(8))
    methods = {
        "ModelConfig": grpc.unary_unary_rpc_method_handler(liar.answer_config),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(liar.stream),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        liar.over.set()
        server.stop(0).wait()


Change = Callable[[Any], None]


def changed(change: Change) -> Callable[[Any], Iterator[Any]]:
    """The true reply, but for one thing."""

    def spoil(reply: Any) -> Iterator[Any]:
        change(reply.infer_response)
        yield reply

    return spoil


def _set(**fields: Any) -> Change:
    """Other fields of the first output."""

    def change(said: Any) -> None:
        for name, value in fields.items():
            if name == "shape":
                said.outputs[0].shape[:] = value
            else:
                setattr(said.outputs[0], name, value)

    return change


def _raw(make: Callable[[bytes], bytes]) -> Change:
    def change(said: Any) -> None:
        said.raw_output_contents[0] = make(said.raw_output_contents[0])

    return change


def _with(value: float) -> Change:
    def make(raw: bytes) -> bytes:
        array = np.frombuffer(raw, np.float32).copy()
        array[-1] = value
        return array.tobytes()

    return _raw(make)


def _rows(count: int) -> Change:
    """So many samples' answers to one."""

    def change(said: Any) -> None:
        said.outputs[0].shape[0] = count
        said.raw_output_contents[0] = said.raw_output_contents[0] * count

    return change


def _twice(said: Any) -> None:
    said.outputs.append(said.outputs[0])
    said.raw_output_contents.append(said.raw_output_contents[0])


def _clear(name: str) -> Change:
    return lambda said: said.ClearField(name)


def _doubles(said: Any) -> None:
    """The right numbers as another type."""
    said.outputs[0].datatype = "FP64"
    said.raw_output_contents[0] = np.frombuffer(said.raw_output_contents[0], np.float32).astype(np.float64).tobytes()


def _halves(said: Any) -> None:
    """Twice as many numbers in the same bytes."""
    said.outputs[0].datatype = "FP16"
    said.outputs[0].shape[-1] *= 2


def _flat(said: Any) -> None:
    said.outputs[0].shape[:] = [math.prod(said.outputs[0].shape)]


def _model(said: Any) -> None:
    said.model_name = "another"


WRONG: dict[str, tuple[Change, str]] = {
    "doubles": (_doubles, "is 'FP64', the contract says float32"),
    "halves": (_halves, "is 'FP16', the contract says float32"),
    "strings": (_set(datatype="BYTES"), "is 'BYTES', the contract says float32"),
    "unknown-type": (_set(datatype="FP4"), "is 'FP4'"),
    "no-type": (_set(datatype=""), "is '', the contract"),
    "flat": (_flat, "the contract says"),
    "turned": (_set(shape=[10, 1]), "the contract says"),
    "scalar": (_set(shape=[]), "the contract says"),
    "two-rows": (_rows(2), "the contract says"),
    "no-rows": (_rows(0), "the contract says"),
    "negative": (_set(shape=[-1, -10]), "the contract says"),
    "huge": (_set(shape=[1 << 62, 1 << 62]), "the contract says"),
    "short": (_raw(lambda raw: raw[:-1]), "bytes for"),
    "long": (_raw(lambda raw: raw + b"\0"), "bytes for"),
    "empty": (_raw(lambda raw: b""), "bytes for"),
    "nan": (_with(math.nan), "not finite"),
    "infinite": (_with(-math.inf), "not finite"),
    "other-name": (_set(name="scores"), "lacks logits"),
    "twice": (_twice, "an output twice"),
    "no-outputs": (_clear("outputs"), "0 outputs and 1 contents"),
    "no-contents": (_clear("raw_output_contents"), "1 outputs and 0 contents"),
    "nothing": (lambda said: (_clear("outputs")(said), _clear("raw_output_contents")(said)), "lacks logits"),  # type: ignore[dict-item]
    "another-model": (_model, "an answer of 'another'"),
}
"""Answers that are none, and what the client says of them."""


def _id(text: str) -> Callable[[Any], Iterator[Any]]:
    return changed(lambda said: setattr(said, "id", text))


def _error(text: str, fault: str = protocol.REFUSED) -> Callable[[Any], Iterator[Any]]:
    def spoil(reply: Any) -> Iterator[Any]:
        yield protocol.fault_reply(reply.infer_response.model_name, reply.infer_response.id, fault, text)

    return spoil


def _silent(reply: Any) -> Iterator[Any]:
    yield None


def _chatter(reply: Any) -> Iterator[Any]:
    """Answers to nothing, for ever."""
    reply.infer_response.id = "123456"
    while True:
        time.sleep(0.01)
        yield reply


def _ends(reply: Any) -> Iterator[Any]:
    yield from ()


def _garbage(reply: Any) -> Iterator[Any]:
    yield b"\xff\xff\xff\xff no message"


SILENT: dict[str, Callable[[Any], Iterator[Any]]] = {
    "silent": _silent,
    "chatter": _chatter,
    "forgets": _ends,
    "no-id": _id(""),
    "huge-id": _id("9" * 6000),
    "wrong-id": _id("-1"),
    "words": _id("one"),
    "garbage": _garbage,
}
"""Servers that never answer, whatever else they say."""
TIRING: dict[str, Callable[[Any], Iterator[Any]]] = {
    "busy": _error("busy, busy", protocol.BUSY),
    "damaged": _error("bitstream: damaged", protocol.DAMAGED),
}
CONFIGS: dict[str, Callable[[Liar], Any]] = {
    "no-pair": lambda liar: oip.ModelConfigResponse(),
    "another-pair": lambda liar: _config("0" * 64),
    "escapes": lambda liar: _config("\x1b[2J\x07"),
    "endless": lambda liar: _config("f" * 1_000_000),
}


def _config(pair: str) -> Any:
    reply = oip.ModelConfigResponse()
    reply.config.parameters[protocol.PAIR_ID].string_value = pair
    return reply


def times(*values: float) -> Callable[[Any], Iterator[Any]]:
    """True answers, and such milliseconds."""

    def change(said: Any) -> None:
        for stage, value in zip(protocol.STAGES, values, strict=True):
            said.parameters[f"{stage}_ms"].double_param = value

    return changed(change)


def error(text: str) -> Callable[[Any], Iterator[Any]]:
    """A refusal in such words."""
    return _error(text)


TIMES: Sequence[tuple[float, float, float]] = (
    (math.nan, 0.0, 0.0),
    (-5.0, 0.0, 0.0),
    (1e300, 1e300, 1e300),
    (math.inf, -math.inf, 0.0),
)
