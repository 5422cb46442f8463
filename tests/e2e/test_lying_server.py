"""The edge against a server that lies: no wrong answer is taken, no traceback, and no wait beyond the patience."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from e2e_setting import SIDE, cli

from splitc.bundle import open_bundle
from splitc.errors import RemoteError
from splitc.runtime import CloudHalf, EdgeHalf, InferenceResult, Sample, run_pair

pytest.importorskip("grpc", reason="needs splitc[serve]")

from liar import CONFIGS, SILENT, TIMES, TIRING, WRONG, changed, error, lying, times
from raw_http2 import END_HEADERS, HEADERS, SETTINGS, frame

from splitc.runtime.client import ClientOptions, EdgeClient, Remote

PATIENCE_S = 1.5
END_STREAM = 1
SPARE_S = 4.0
"""For a handshake that is given its least time, and for other work on the machine."""


def samples(count: int = 3) -> list[Sample]:
    images = np.random.default_rng(0).standard_normal((count, 1, 3, SIDE, SIDE)).astype(np.float32)
    return [Sample(f"f{index}", {"image": image}) for index, image in enumerate(images)]


def ask(bundle: Path, address: str) -> list[InferenceResult]:
    client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=PATIENCE_S))
    return list(client.run(iter(samples())))


def truth(bundle: Path) -> list[np.ndarray]:
    opened = open_bundle(bundle)
    return [one.outputs["logits"] for one in run_pair(EdgeHalf(opened), CloudHalf(opened), samples())]


@pytest.mark.parametrize("kind", WRONG)
def test_no_answer_is_taken_that_the_contract_does_not_know(bundle: Path, kind: str) -> None:
    change, message = WRONG[kind]
    with lying(bundle, changed(change)) as address, pytest.raises(RemoteError) as caught:
        ask(bundle, address)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{address}: f0: ")


@pytest.mark.parametrize("kind", SILENT)
def test_patience_holds_for_a_server_that_never_answers(bundle: Path, kind: str) -> None:
    begun = time.monotonic()
    with lying(bundle, SILENT[kind]) as address, pytest.raises(RemoteError, match="no answer for"):
        ask(bundle, address)
    assert time.monotonic() - begun < PATIENCE_S + SPARE_S


def literal(name: bytes, value: bytes) -> bytes:
    """A header that no table holds, RFC 7541 section 6.2.2."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def end_at_once(listening: socket.socket) -> None:
    """Success, and not one message: gRPC's server never does that, so it is written by hand."""
    line, _ = listening.accept()
    with line:
        line.settimeout(10)
        line.sendall(frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0))
        said = b""
        while b"ModelConfig" not in said:
            said += line.recv(65536)
        status = literal(b"content-type", b"application/grpc") + literal(b"grpc-status", b"0")
        line.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88" + status))
        while line.recv(65536):
            pass


def test_success_without_a_message_is_none(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=end_at_once, args=(listening,))
        thread.start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(RemoteError, match="answered without a message; is splitc serve running there"):
            ask(bundle, address)
        thread.join(20)


def test_patience_holds_for_a_server_that_does_not_greet(bundle: Path) -> None:
    begun = time.monotonic()
    with lying(bundle, iter, config=lambda liar: None) as address, pytest.raises(RemoteError, match="no answer for"):
        ask(bundle, address)
    assert time.monotonic() - begun < PATIENCE_S + SPARE_S


@pytest.mark.parametrize("kind", TIRING)
def test_a_server_that_always_asks_again_is_given_up(bundle: Path, kind: str) -> None:
    with lying(bundle, TIRING[kind]) as address, pytest.raises(RemoteError, match=kind):
        ask(bundle, address)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_greeting_that_is_none(bundle: Path, kind: str) -> None:
    with lying(bundle, iter, config=CONFIGS[kind]) as address, pytest.raises(RemoteError, match="of pair") as caught:
        ask(bundle, address)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_patience_holds_for_another_build_that_answers_late(bundle: Path) -> None:
    """It is asked again, on further connections, but not for longer."""

    def late(liar: Any) -> Any:
        time.sleep(PATIENCE_S / 2)
        return CONFIGS["another-pair"](liar)

    begun = time.monotonic()
    with lying(bundle, iter, config=late) as address, pytest.raises(RemoteError, match="of pair"):
        ask(bundle, address)
    assert time.monotonic() - begun < PATIENCE_S + SPARE_S


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07\x1b[2J", "so sorry\r\n" * 100_000, "\u202e evil"])
def test_words_of_the_server_are_fit_for_a_terminal(bundle: Path, text: str) -> None:
    with lying(bundle, error(text)) as address, pytest.raises(RemoteError) as caught:
        ask(bundle, address)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("values", TIMES)
def test_times_that_cannot_be_are_left_out(bundle: Path, values: tuple[float, float, float]) -> None:
    with lying(bundle, times(*values)) as address:
        answers = ask(bundle, address)
    assert all(np.array_equal(one.outputs["logits"], want) for one, want in zip(answers, truth(bundle), strict=True))
    for one in answers:
        assert min(one.ms.values()) >= 0
        assert one.ms["cloud"] == 0


def test_an_output_that_nobody_asked_for_is_left_out(bundle: Path) -> None:
    def add(said: object) -> None:
        said.outputs.add(name="extra", datatype="INT8", shape=[1])  # type: ignore[attr-defined]
        said.raw_output_contents.append(b"x")  # type: ignore[attr-defined]

    with lying(bundle, changed(add)) as address:
        assert [list(one.outputs) for one in ask(bundle, address)] == [["logits"]] * 3


@pytest.mark.parametrize("kind", ["nan", "doubles"])
def test_the_command_refuses_in_one_sentence(bundle: Path, source: Path, kind: str) -> None:
    with lying(bundle, changed(WRONG[kind][0])) as address:
        outcome = cli("run", bundle, source / "pictures", "--server", address, "--patience-s", "2")
    assert outcome.code == 2
    assert outcome.err.rstrip("\n").count("\n") == 0
    assert WRONG[kind][1] in outcome.err


STOPPING = "in ensemble 'tiny', Server is stopping, scheduler for model has stopped accepting new inference requests"
"""What Triton says inside a stream after SIGTERM."""


def test_a_server_that_stops_inside_a_stream_is_away(bundle: Path) -> None:
    """One that never says why it fails is refused; one that ends is left, and every frame is answered once."""
    said = {"first": 2}

    def drain(reply: Any) -> Iterator[Any]:
        said["first"] -= 1
        if said["first"] == 0:
            reply.error_message = STOPPING
            for field in ("outputs", "raw_output_contents", "parameters"):
                reply.infer_response.ClearField(field)
        yield reply

    client_options = ClientOptions(patience_s=20, window=1)
    with lying(bundle, drain) as address:
        client = EdgeClient(open_bundle(bundle), Remote(address), client_options)
        answers = list(client.run(iter(samples())))
    assert [answer.name for answer in answers] == ["f0", "f1", "f2"]
    assert all(np.array_equal(one.outputs["logits"], want) for one, want in zip(answers, truth(bundle), strict=True))
    assert (client.counters.reconnected, client.counters.sent_again) == (1, 1)


def test_a_server_that_goes_on_stopping_is_given_up_with_its_words(bundle: Path) -> None:
    def drain(reply: Any) -> Iterator[Any]:
        reply.error_message = STOPPING
        reply.infer_response.ClearField("parameters")
        yield reply

    with lying(bundle, drain) as address, pytest.raises(RemoteError, match="Server is stopping"):
        ask(bundle, address)
