"""Messages between edge and cloud: the Open Inference Protocol (v2) over gRPC, which stock clients and Triton speak.

A bundle is one model. It takes one input, the packet, and gives the network's outputs. What the protocol has no field
for travels as parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2 as oip
from tritonclient.utils import np_to_triton_dtype

from splitc.errors import RemoteError, UsageError
from splitc.types import Array, Feeds, TensorSpec

PACKET = "packet"
"""Name of the only input: UINT8 ``[n]``, a packet of the bitstream."""
PAIR_ID = "pair_id"
"""Parameter of a request and of a model's configuration: what both halves must share."""
FAULT = "fault"
"""Parameter of a failed reply: one of the next four."""
DAMAGED, BUSY, REFUSED, FOREIGN = "damaged", "busy", "refused", "foreign"
"""The packet cannot be decoded: send a keyframe. Try later. Do not try again. Another build is here: connect anew."""
ENDING, UNKNOWN_SEQUENCE = "ending", "unknown sequence"
"""Connect anew: the server is going or not there yet. Begin the sequence anew: it was forgotten. Words of Triton."""
_ENDING_WORDS = (
    "Server is stopping",
    "Server not ready",
    "is not at ready state",
    "has no available versions",
)
_SEQUENCE_WORDS = ("must specify the START flag",)
_FOREIGN_WORDS = ("Pair_Tag at offset", "' is not found")
_BUSY_WORDS = ("Exceeds maximum queue size", "Request timeout expired")
_WORDS = {
    FOREIGN: _FOREIGN_WORDS,  # a foreign packet is said of its bitstream, so this is looked for first
    DAMAGED: ("bitstream: ",),
    UNKNOWN_SEQUENCE: _SEQUENCE_WORDS,
    ENDING: _ENDING_WORDS,
    BUSY: _BUSY_WORDS,
}
STAGES = ("decode", "queue", "cloud")
"""Stages of the cloud; a reply has ``STAGE_ms`` of each as a parameter."""
MAX_MESSAGE_BYTES = 1 << 30
"""The largest message that any server takes; most take less, and say so."""
LARGEST = "max_message_bytes"
"""Parameter of a model's configuration: bytes of the largest message that its server takes."""
_MOST_DIGITS = 10
_TOO_LARGE_WORDS = "message larger than max"
"""gRPC's, of either end."""
MOST_SHOWN = 600
"""Letters of a message of the other end."""


def packet_request(model: str, pair_id: str, name: str, packet: bytes, given: Feeds | None = None) -> Any:
    """A packet as an inference request, with what the tail is given beside it.

    Args:
        model: Name of the bundle.
        pair_id: 64 hexadecimal digits.
        name: Comes back with the answer.
        packet: As the edge's encoder gave it.
        given: Inputs of the network that the tail takes as they are.
    """
    request = oip.ModelInferRequest(model_name=model, id=name, raw_input_contents=[packet])
    request.inputs.add(name=PACKET, datatype="UINT8", shape=[len(packet)])
    for label, array in (given or {}).items():
        request.inputs.add(name=label, datatype=np_to_triton_dtype(array.dtype), shape=list(array.shape))
        request.raw_input_contents.append(np.ascontiguousarray(array).tobytes())
    request.parameters[PAIR_ID].string_param = pair_id
    return request


def in_sequence(request: Any, sequence: int, *, is_first: bool = False, is_last: bool = False) -> Any:
    """The same request as part of a sequence, for servers that keep a stream's state by its number (Triton)."""
    request.parameters["sequence_id"].int64_param = sequence
    request.parameters["sequence_start"].bool_param = is_first
    request.parameters["sequence_end"].bool_param = is_last
    return request


def packet_of(request: Any) -> bytes:
    """The packet in a request that anyone may have sent: its first input.

    Raises:
        UsageError: The first input is not one of this name, type and size.
    """
    if not request.inputs or len(request.raw_input_contents) != len(request.inputs):
        raise UsageError(f"a request has one input, {PACKET!r}, in raw_input_contents.")
    tensor, packet = request.inputs[0], request.raw_input_contents[0]
    shape = list(tensor.shape)
    if tensor.name != PACKET or tensor.datatype != "UINT8" or shape not in ([len(packet)], [1, len(packet)]):
        raise UsageError(
            f"the input is {tensor.name!r} {tensor.datatype} {shape} with {len(packet)} bytes; "
            f"it must be {PACKET!r} UINT8 [bytes]."
        )
    return bytes(packet)


def given_of(request: Any, wanted: Sequence[TensorSpec]) -> dict[str, Array]:
    """What stands beside the packet in a request that anyone may have sent.

    Raises:
        UsageError: Not exactly the inputs ``wanted``, each once, of its type and of sizes that its bytes have.
    """
    names = [tensor.name for tensor in request.inputs[1:]]
    is_raw = len(request.raw_input_contents) == len(request.inputs)
    if not is_raw or sorted(names) != sorted(spec.name for spec in wanted):
        known = [PACKET, *(spec.name for spec in wanted)]
        what = "one input" if len(known) == 1 else "the inputs"
        raise UsageError(
            f"a request has {what}, {_listed(known)}, in raw_input_contents; this one has {_listed(names)} beside "
            f"{PACKET!r}, and {len(request.raw_input_contents)} of raw_input_contents."
        )
    beside = zip(request.inputs[1:], request.raw_input_contents[1:], strict=True)
    specs = {spec.name: spec for spec in wanted}
    return {tensor.name: _array_of(tensor, raw, specs[tensor.name]) for tensor, raw in beside}


def _array_of(tensor: Any, raw: bytes, spec: TensorSpec) -> Array:
    dtype, shape = np.dtype(spec.dtype), tuple(tensor.shape)
    sizes = zip(shape, spec.shape, strict=False)
    fits = len(shape) == len(spec.shape) and all(n >= 0 and (n == dim or isinstance(dim, str)) for n, dim in sizes)
    if tensor.datatype != np_to_triton_dtype(dtype) or not fits or math.prod(shape) * dtype.itemsize != len(raw):
        raise UsageError(
            f"the input {tensor.name!r} is {tensor.datatype} {list(shape)} with {len(raw)} bytes; it must be "
            f"{np_to_triton_dtype(dtype)} {list(spec.shape)}."
        )
    return np.frombuffer(raw, dtype).reshape(shape)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:80]) for name in names) or "nothing"


def largest_of(config: Any) -> int:
    """Bytes of the largest message that a server takes, as it says; :data:`MAX_MESSAGE_BYTES` where it says none."""
    said = config.parameters[LARGEST].string_value if LARGEST in config.parameters else ""
    is_number = said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS
    return min(int(said), MAX_MESSAGE_BYTES) if is_number else MAX_MESSAGE_BYTES


def is_too_large(words: str) -> bool:
    """Whether gRPC refuses a message for its size, here or there: sent again it would be refused again."""
    return _TOO_LARGE_WORDS in words


def pair_of(request: Any) -> str | None:
    """The pair id that a request names, if it does."""
    return request.parameters[PAIR_ID].string_param if PAIR_ID in request.parameters else None


def answer_reply(model: str, name: str, outputs: Mapping[str, Array], ms: Mapping[str, float]) -> Any:
    """Outputs as an inference response.

    Args:
        model: As in the request.
        name: As in the request.
        outputs: Arrays by name.
        ms: Milliseconds by stage.
    """
    reply = oip.ModelInferResponse(model_name=model, model_version="1", id=name)
    for output, array in outputs.items():
        reply.outputs.add(name=output, datatype=np_to_triton_dtype(array.dtype), shape=list(array.shape))
        reply.raw_output_contents.append(np.ascontiguousarray(array).tobytes())
    for stage, value in ms.items():
        reply.parameters[f"{stage}_ms"].double_param = value
    return reply


def outputs_of(reply: Any, wanted: Sequence[TensorSpec], sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
    """The outputs in a response, checked against what the contract says of them: the server is not trusted.

    Args:
        reply: From the server.
        wanted: Names, types and shapes; a size that is a name is open unless ``sizes`` has it. Others are left out.
        sizes: Sizes by name, as the features had them that were sent.

    Raises:
        RemoteError: Missing, twice, of another type or shape, of other bytes than their shape needs, or not finite.
    """
    names = [tensor.name for tensor in reply.outputs]
    if len(names) != len(reply.raw_output_contents):
        raise RemoteError(
            f"the server's answer has {len(names)} outputs and {len(reply.raw_output_contents)} contents."
        )
    if len(set(names)) < len(names):
        raise RemoteError("the server's answer has an output twice.")
    missing = [spec.name for spec in wanted if spec.name not in names]
    if missing:
        raise RemoteError(f"the server's answer lacks {', '.join(missing)}; is it the cloud half of this bundle?")
    place = {name: index for index, name in enumerate(names)}
    return {
        spec.name: _output(
            spec, reply.outputs[place[spec.name]], reply.raw_output_contents[place[spec.name]], sizes or {}
        )
        for spec in wanted
    }


def _output(spec: TensorSpec, tensor: Any, raw: bytes, sizes: Mapping[str, int]) -> Array:
    """One output as the contract describes it."""
    wanted, shape = np.dtype(spec.dtype), tuple(tensor.shape)
    if tensor.datatype != np_to_triton_dtype(wanted):
        raise RemoteError(f"the server's {spec.name!r} is {tensor.datatype[:20]!r}, the contract says {spec.dtype}.")
    said = [size if isinstance(size, int) else sizes.get(size) for size in spec.shape]
    same = len(shape) == len(said) and all(one in (None, other) for one, other in zip(said, shape, strict=True))
    if not same or any(size < 0 for size in shape):
        raise RemoteError(f"the server's {spec.name!r} is {list(shape)[:20]}, the contract says {list(spec.shape)}.")
    if math.prod(shape) * wanted.itemsize != len(raw):
        raise RemoteError(f"the server's {spec.name!r} has {len(raw)} bytes for {list(shape)} of {wanted}.")
    array: Array = np.frombuffer(raw, wanted).reshape(shape)
    if wanted.kind in "fc" and not np.isfinite(array).all():
        raise RemoteError(f"the server's {spec.name!r} holds values that are not finite.")
    if wanted.kind == "b" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise RemoteError(f"the server's {spec.name!r} holds bytes that are neither true nor false.")
    return array


def stage_ms(reply: Any, at_most: float = math.inf) -> dict[str, float]:
    """Milliseconds by stage in a response; zeros from a server that tells none, or what cannot be.

    Args:
        reply: From the server.
        at_most: All of it together took no longer than this.
    """
    said = reply.parameters
    ms = {stage: said[f"{stage}_ms"].double_param if f"{stage}_ms" in said else 0.0 for stage in STAGES}
    is_possible = all(math.isfinite(value) and value >= 0 for value in ms.values()) and sum(ms.values()) <= at_most
    return ms if is_possible else dict.fromkeys(STAGES, 0.0)


def shown(text: str) -> str:
    """Words of the other end, fit for a terminal: short, and without control characters."""
    cut = text[:MOST_SHOWN]
    return "".join(char if char.isprintable() else " " for char in cut) + ("..." if len(text) > MOST_SHOWN else "")


def fault_reply(model: str, name: str, fault: str, message: str) -> Any:
    """A refusal inside a stream, which goes on."""
    reply = oip.ModelInferResponse(model_name=model, id=name)
    reply.parameters[FAULT].string_param = fault
    return oip.ModelStreamInferResponse(error_message=message, infer_response=reply)


def fault_of(reply: Any) -> str:
    """Which of the faults a failed reply names. Triton has no field for it: there the decoder's words tell."""
    said = reply.infer_response.parameters
    if FAULT in said:
        return str(said[FAULT].string_param)
    return next((fault for fault, phrases in _WORDS.items() if _has(reply.error_message, phrases)), REFUSED)


def is_ending(words: str) -> bool:
    """Whether Triton says that it stops, starts, or changes the model: another server, or this one later, answers."""
    return _has(words, _ENDING_WORDS)


def _has(words: str, phrases: Sequence[str]) -> bool:
    return any(phrase in words for phrase in phrases)
