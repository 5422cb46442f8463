"""What a request asks for besides an answer: a version, some of the outputs, parameters. Answered as Triton does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from splitc.runtime import protocol
from splitc.types import Array

VERSION = "1"
"""The only one of every bundle."""
RESERVED = "triton_"
KNOWN_RESERVED = {"triton_enable_empty_final_response"}
FINAL = "triton_final_response"
"""Parameter of every answer on a stream: one request has one answer, so it is the last."""


class Refusal(Exception):
    """One request is not answered: which fault, why, and the status of a single call."""

    def __init__(self, fault: str, message: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.fault, self.code = fault, code or CODES[fault]


CODES = {
    protocol.DAMAGED: grpc.StatusCode.DATA_LOSS,
    protocol.BUSY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    protocol.REFUSED: grpc.StatusCode.INVALID_ARGUMENT,
    protocol.FOREIGN: grpc.StatusCode.INVALID_ARGUMENT,
}


def unknown_model(name: str, version: str, served: Sequence[str]) -> Refusal | None:
    """Why there is no such model, or None where there is."""
    if name not in served:
        there = f"there {'is' if len(served) == 1 else 'are'} {', '.join(served)}"
        why = f"no bundle {name[:80]!r} is served here; {there}."
    elif version not in ("", VERSION):
        why = f"{name}: has no version {version[:20]!r}; a bundle is version {VERSION}."
    else:
        return None
    return Refusal(protocol.FOREIGN, why, grpc.StatusCode.NOT_FOUND)


def check_parameters(request: Any) -> None:
    """Refuse parameters that Triton keeps for itself; others say nothing here, and are left alone.

    Raises:
        Refusal: One of them, or an output in shared memory or as classes.
    """
    for name in request.parameters:
        if name.startswith(RESERVED) and name not in KNOWN_RESERVED:
            raise Refusal(
                protocol.REFUSED, f"parameter {name[:80]!r}: names that begin with {RESERVED!r} are reserved."
            )
    for tensor in (*request.inputs, *request.outputs):
        for name in tensor.parameters:
            if name.startswith("shared_memory_") or name == "classification":
                raise Refusal(protocol.REFUSED, f"{tensor.name[:80]!r}: {name} is not supported by this server.")


def wanted_outputs(request: Any, names: Sequence[str]) -> list[str]:
    """The outputs that a request names, in its order; all where it names none.

    Raises:
        Refusal: One that the model does not have, or one twice.
    """
    asked = [output.name for output in request.outputs]
    for name in asked:
        if name not in names:
            raise Refusal(protocol.REFUSED, f"unexpected output {name[:80]!r}; the model has {', '.join(names)}.")
    if len(set(asked)) < len(asked):
        raise Refusal(protocol.REFUSED, "an output is asked for twice.")
    return asked or list(names)


def only(outputs: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
    """These of the outputs."""
    return {name: outputs[name] for name in names}
