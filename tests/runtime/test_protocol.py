"""Answers as they arrive: what the contract does not know is refused, whoever made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

from tritonclient.grpc import model_config_pb2 as triton_config
from tritonclient.grpc import service_pb2 as oip

from splitc.errors import RemoteError
from splitc.runtime import protocol
from splitc.types import TensorSpec

SPECS = [
    TensorSpec(name="boxes", dtype="float32", shape=("N", "count", 4)),
    TensorSpec(name="labels", dtype="int64", shape=("N", "count")),
    TensorSpec(name="valid", dtype="bool", shape=(1,)),
    TensorSpec(name="half", dtype="float16", shape=()),
]
RNG = np.random.default_rng(0)
TRUE = {
    "boxes": RNG.standard_normal((2, 5, 4)).astype(np.float32),
    "labels": RNG.integers(-9, 9, (2, 5)),
    "valid": np.array([True]),
    "half": np.array(0.5, np.float16),
}


def reply(**other: np.ndarray) -> Any:
    return protocol.answer_reply("m", "1", TRUE | other, {})


def test_what_was_sent_arrives() -> None:
    got = protocol.outputs_of(reply(), SPECS, {"N": 2})
    assert got.keys() == TRUE.keys()
    assert all(np.array_equal(got[name], array) and got[name].dtype == array.dtype for name, array in TRUE.items())


@pytest.mark.parametrize(
    ("name", "array"),
    [
        pytest.param("boxes", TRUE["boxes"].astype(np.float64), id="float64"),
        pytest.param("labels", TRUE["labels"].astype(np.int32), id="int32"),
        pytest.param("labels", TRUE["labels"].astype(np.uint64), id="uint64"),
        pytest.param("boxes", TRUE["boxes"][:1], id="one-sample"),
        pytest.param("boxes", TRUE["boxes"][..., :3], id="three-corners"),
        pytest.param("boxes", TRUE["boxes"][0], id="rank"),
        pytest.param("half", np.zeros(1, np.float16), id="no-scalar"),
        pytest.param("half", np.array(np.nan, np.float16), id="nan"),
        pytest.param("boxes", np.full((2, 5, 4), np.inf, np.float32), id="infinite"),
    ],
)
def test_another_array_is_refused_by_name(name: str, array: np.ndarray) -> None:
    with pytest.raises(RemoteError, match=f"'{name}'"):
        protocol.outputs_of(reply(**{name: array}), SPECS, {"N": 2})


def test_a_size_that_is_open_is_open() -> None:
    got = protocol.outputs_of(reply(labels=np.zeros((2, 0), np.int64)), SPECS, {"N": 2})
    assert got["labels"].shape == (2, 0)
    assert protocol.outputs_of(reply(), SPECS)["boxes"].shape == (2, 5, 4)


def test_a_byte_that_is_no_boolean_is_refused() -> None:
    said = reply()
    said.raw_output_contents[2] = b"\x02"
    with pytest.raises(RemoteError, match="neither true nor false"):
        protocol.outputs_of(said, SPECS)


@pytest.mark.parametrize("seed", range(300))
def test_no_damage_is_a_traceback(seed: int) -> None:
    """Fields of a reply, changed at random: refused, or an answer of the contract's types and shapes."""
    rng, said = np.random.default_rng(seed), reply()
    for _ in range(rng.integers(1, 4)):
        DAMAGES[rng.integers(len(DAMAGES))](said, rng)
    got, refusal = taken(said)
    assert "\n" not in refusal
    for spec in SPECS if not refusal else ():
        assert got[spec.name].dtype == spec.dtype
        assert got[spec.name].ndim == len(spec.shape)
        assert np.isfinite(got[spec.name]).all()


def taken(said: Any) -> tuple[dict[str, np.ndarray], str]:
    """The outputs, or why there are none."""
    try:
        return protocol.outputs_of(said, SPECS, {"N": 2}), ""
    except RemoteError as error:
        return {}, str(error)


def _pick(said: Any, rng: np.random.Generator) -> Any:
    return said.outputs[rng.integers(len(said.outputs))] if said.outputs else said.outputs.add()


def _rename(said: Any, rng: np.random.Generator) -> None:
    _pick(said, rng).name = rng.choice(["", "boxes", "x", "\x1b[2J"])


def _retype(said: Any, rng: np.random.Generator) -> None:
    _pick(said, rng).datatype = rng.choice(["", "FP32", "FP16", "INT64", "BOOL", "BYTES", "BF16", "UINT8", "\n"])


def _resize(said: Any, rng: np.random.Generator) -> None:
    sizes = [-1, 0, 1, 2, 5, 1 << 40, (1 << 63) - 1]
    _pick(said, rng).shape[:] = [int(rng.choice(sizes)) for _ in range(rng.integers(0, 5))]


def _refill(said: Any, rng: np.random.Generator) -> None:
    if said.raw_output_contents:
        index = int(rng.integers(len(said.raw_output_contents)))
        said.raw_output_contents[index] = rng.bytes(int(rng.integers(0, 200)))


def _remove(said: Any, rng: np.random.Generator) -> None:
    field = said.outputs if rng.random() < 0.5 else said.raw_output_contents
    if field:
        del field[int(rng.integers(len(field)))]


DAMAGES: list[Callable[[Any, np.random.Generator], None]] = [_rename, _retype, _resize, _refill, _remove]


@pytest.mark.parametrize("text", ["a\x1b[31mb", "x" * 5000, "two\nlines", "\u202eright to left", ""])
def test_words_of_the_other_end_fit_one_line(text: str) -> None:
    said = protocol.shown(text)
    assert said.isprintable()
    assert len(said) <= protocol.MOST_SHOWN + 3


def test_times_of_a_server_are_those_that_can_be() -> None:
    said = protocol.answer_reply("m", "1", {}, {"decode": 1.0, "queue": 2.0, "cloud": 3.0})
    assert protocol.stage_ms(said, 6.5) == {"decode": 1.0, "queue": 2.0, "cloud": 3.0}
    assert protocol.stage_ms(said, 5.5) == {"decode": 0.0, "queue": 0.0, "cloud": 0.0}


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("bitstream: Payload_Size needs 4 bytes", protocol.DAMAGED),
        ("in ensemble 'tiny', bitstream: predicted from a packet that did not arrive", protocol.DAMAGED),
        (
            "Server is stopping, scheduler for model has stopped accepting new inference requests",
            protocol.ENDING,
        ),
        ("Server not ready", protocol.ENDING),
        ("in ensemble 'tiny', 'tiny_tail' version 1 is not at ready state", protocol.ENDING),
        ("Request for unknown model: 'tiny' has no available versions", protocol.ENDING),
        ("Exceeds maximum queue size", protocol.BUSY),
        ("Request timeout expired", protocol.BUSY),
        ("Request for unknown model: 'tiny' is not found", protocol.FOREIGN),
        ("in ensemble 'tiny', bitstream: Pair_Tag at offset 2 is 00000000, this pair's is 5d", protocol.FOREIGN),
        (
            "in ensemble 'tiny', inference request for sequence 9 to model 'tiny_decode' must specify the START flag "
            "on the first request of the sequence",
            protocol.UNKNOWN_SEQUENCE,
        ),
        ("unexpected shape for input 'packet'", protocol.REFUSED),
    ],
)
def test_tritons_words_tell_what_to_do(words: str, fault: str) -> None:
    assert protocol.fault_of(oip.ModelStreamInferResponse(error_message=words)) == fault


@pytest.mark.parametrize(
    ("said", "largest"),
    [
        (None, protocol.MAX_MESSAGE_BYTES),
        ("65536", 65536),
        ("0", 0),
        (str(protocol.MAX_MESSAGE_BYTES), protocol.MAX_MESSAGE_BYTES),
        ("9" * 10, protocol.MAX_MESSAGE_BYTES),
        ("9" * 100_000, protocol.MAX_MESSAGE_BYTES),
        ("-1", protocol.MAX_MESSAGE_BYTES),
        ("1e3", protocol.MAX_MESSAGE_BYTES),
        ("", protocol.MAX_MESSAGE_BYTES),
        ("\u0663", protocol.MAX_MESSAGE_BYTES),
    ],
)
def test_what_a_server_says_of_its_largest_message(said: str | None, largest: int) -> None:
    """Whatever it says, a client sends no more than any server takes."""
    config = triton_config.ModelConfig()
    if said is not None:
        config.parameters[protocol.LARGEST].string_value = said
    assert protocol.largest_of(config) == largest
