"""Requests of the Open Inference Protocol that nobody should send, from a seed.

A message starts as a good request and is harmed at one to three places that the protocol has: fields, sizes, types,
parameters, the packet; one in four is then also harmed as bytes. Messages go to every method, alone or on a stream.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as oip

from splitc.runtime import protocol

SERVICE = "/inference.GRPCInferenceService/"
UNARY = ("ModelInfer", "ModelConfig", "ModelMetadata", "ModelReady", "ServerLive", "RepositoryIndex", "NoSuchMethod")
OTHERS = ("RepositoryModelUnload", "SystemSharedMemoryRegister", "CudaSharedMemoryRegister", "TraceSetting")
SIZES = (-(1 << 63), -1, 0, 1, 2, 7, 1 << 16, 1 << 31, 1 << 40, (1 << 63) - 1)
WORDS = ("", "packet", "tiny", "..", "a" * 5000, "ünïcode\0", "$(id)", "UINT8", "FP32", "BYTES", "BF16", "TYPE_UINT8")
PARAMETERS = (protocol.PAIR_ID, protocol.FAULT, "sequence_id", "sequence_start", "binary_data_output", "priority", "")
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Target:
    """A model that is served, and good packets for it."""

    model: str
    pair_id: str
    packets: Sequence[bytes]


def good(target: Target, rng: random.Random) -> Any:
    """A request that would be answered."""
    return protocol.packet_request(target.model, target.pair_id, str(rng.randrange(1000)), rng.choice(target.packets))


def message(target: Target, rng: random.Random) -> bytes:
    """One message, harmed."""
    request = good(target, rng)
    for _ in range(rng.randint(1, 3)):
        rng.choice(HARMS)(request, rng)
    data = request.SerializeToString()
    return harmed_bytes(data, rng) if rng.random() < 0.25 else data


def harmed_bytes(data: bytes, rng: random.Random) -> bytes:
    """Cut short, flipped, stretched, repeated, or other bytes altogether."""
    middle = rng.randrange(len(data) + 1)
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, 8) if spoiled else 0):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    ways = (data[:middle], bytes(spoiled), data + rng.randbytes(50), data * 2, rng.randbytes(middle % 300))
    return rng.choice(ways)


def _name(request: Any, rng: random.Random) -> None:
    request.model_name = rng.choice(WORDS)


def _version(request: Any, rng: random.Random) -> None:
    request.model_version = rng.choice(WORDS)
    request.id = rng.choice(WORDS)


def _shape(request: Any, rng: random.Random) -> None:
    for tensor in request.inputs:
        tensor.shape[:] = [rng.choice(SIZES) for _ in range(rng.choice((0, 1, 2, 5, 3000)))]


def _type(request: Any, rng: random.Random) -> None:
    for tensor in request.inputs:
        tensor.datatype, tensor.name = rng.choice(WORDS), rng.choice(WORDS)


def _inputs(request: Any, rng: random.Random) -> None:
    count = rng.choice((0, 2, 100))
    del request.inputs[:]
    for _ in range(count):
        request.inputs.add(name=rng.choice(WORDS), datatype="UINT8", shape=[rng.choice(SIZES)])


def _contents(request: Any, rng: random.Random) -> None:
    for tensor in request.inputs:
        tensor.contents.fp32_contents[:] = [float("nan")] * rng.choice((1, 1000))
        tensor.contents.bytes_contents[:] = [rng.randbytes(9)] * rng.choice((0, 1, 50))


def _raw(request: Any, rng: random.Random) -> None:
    packet = request.raw_input_contents[0] if request.raw_input_contents else b""
    request.raw_input_contents[:] = [harmed_bytes(packet, rng)] * rng.choice((0, 1, 1, 1, 2, 40))
    _fit(request)


def _header(request: Any, rng: random.Random) -> None:
    """The packet's first bytes name its version, codec, tensors and sizes."""
    packet = bytearray(request.raw_input_contents[0] if request.raw_input_contents else b"")
    for _ in range(rng.randint(1, 4) if packet else 0):
        packet[rng.randrange(min(len(packet), 64))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    request.raw_input_contents[:] = [bytes(packet)]
    _fit(request)


def _fit(request: Any) -> None:
    """The sizes said are those sent, so that the packet itself is looked at."""
    for tensor, packet in zip(request.inputs, request.raw_input_contents, strict=False):
        tensor.shape[:] = [len(packet)]


def _parameters(request: Any, rng: random.Random) -> None:
    for name in rng.sample(PARAMETERS, rng.randint(1, 4)):
        said = request.parameters[name]
        kind = rng.choice(("bool_param", "int64_param", "string_param", "double_param", "uint64_param"))
        values = {"bool_param": True, "string_param": rng.choice(WORDS), "double_param": float("inf")}
        setattr(said, kind, values.get(kind, 1 << 62))


def _outputs(request: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 300))):
        request.outputs.add(name=rng.choice(WORDS))


HARMS: tuple[Callable[[Any, random.Random], None], ...] = (
    *(_name, _version, _shape, _type, _inputs, _contents),
    *(_raw, _raw, _header, _header, _header, _parameters, _outputs),
)


class Fuzzer:
    """One client's channel and seed."""

    def __init__(self, address: str, targets: Sequence[Target], seed: int) -> None:
        self._channel = grpc.insecure_channel(
            address, [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        )
        self._targets, self._rng = targets, random.Random(seed)
        self.codes: Counter[str] = Counter()

    def send(self, count: int) -> int:
        """Send about so many messages; how many it were."""
        sent = 0
        while sent < count:
            sent += self._rng.choice((self._one, self._stream, self._stream, self._left_behind))()
        return sent

    def close(self) -> None:
        self._channel.close()

    def _one(self) -> int:
        method = self._rng.choice(("ModelInfer",) * 6 + UNARY + OTHERS)
        call = self._channel.unary_unary(SERVICE + method, bytes, bytes)
        try:
            call(self._message(), timeout=TIMEOUT_S, metadata=self._metadata())
            self.codes["OK"] += 1
        except grpc.RpcError as error:
            self.codes[error.code().name] += 1
        return 1

    def _stream(self) -> int:
        """Send a few and read all that comes back; one of them may end the stream."""
        messages = [self._message() for _ in range(self._rng.randint(0, 30))]
        call = self._channel.stream_stream(SERVICE + "ModelStreamInfer", bytes, _reply)
        try:
            for reply in call(iter(messages), timeout=TIMEOUT_S):
                self.codes[f"stream {'fault' if reply.error_message else 'answer'}"] += 1
            self.codes["OK"] += 1
        except grpc.RpcError as error:
            self.codes[error.code().name] += 1
        return len(messages)

    def _left_behind(self) -> int:
        """Send without reading, and hang up in the middle."""
        messages, taken = [self._message() for _ in range(self._rng.randint(1, 10))], threading.Event()
        call = self._channel.stream_stream(SERVICE + "ModelStreamInfer", bytes, _reply)(
            itertools.chain(messages, _wait(taken)), timeout=TIMEOUT_S
        )
        taken.wait(self._rng.choice((0.0, 0.0, 0.01)))
        call.cancel()
        taken.set()
        self.codes["left"] += 1
        return len(messages)

    def _message(self) -> bytes:
        target = self._rng.choice(self._targets)
        if self._rng.random() < 0.1:
            return bytes(good(target, self._rng).SerializeToString())
        return message(target, self._rng)

    def _metadata(self) -> list[tuple[str, str]]:
        return [("authorization", self._rng.choice(("", "Bearer ", "Basic x", "Bearer " + "y" * 500)))]


def _reply(data: bytes) -> Any:
    return oip.ModelStreamInferResponse.FromString(data)


def _wait(until: threading.Event) -> Iterator[bytes]:
    """Nothing, for as long as the call lasts."""
    until.wait(TIMEOUT_S)
    yield from ()
