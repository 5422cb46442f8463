"""What the edge tells a server that keeps a stream's state by its sequence, as Triton does: begin, and end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from e2e_setting import SIDE, build, setting
from tritonclient.grpc import service_pb2 as oip

from splitc.bundle import open_bundle
from splitc.errors import RemoteError
from splitc.runtime import ClientOptions, CloudHalf, EdgeClient, Remote, Sample, protocol
from splitc.runtime.client.patience import FOREIGN_TRIES
from splitc.runtime.names import model_of_pair

SERVICE = "inference.GRPCInferenceService"
FORGOTTEN = "inference request for sequence 9 to model 'm' must specify the START flag on the first request"


@pytest.fixture(scope="module")
def temporal(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose frames are predicted."""
    out = tmp_path_factory.mktemp("temporal") / "tiny"
    assert build(source, out, *setting("codec.temporal=difference")).code == 0
    return out


@dataclass
class Keeper:
    """A server that keeps sequences.

    Attributes:
        bundle: What it serves.
        names: Models that it has; a pair id by name.
        words: Said in place of an answer, by the number of the request.
        seen: (sequence, starts, ends, bytes of the packet) of every request.
        greeted: Names that configurations were asked for.
        routed: What a balancer may route each call by.
    """

    bundle: Path
    names: dict[str, str]
    words: dict[int, str] = field(default_factory=dict)
    seen: list[tuple[int, bool, bool, int]] = field(default_factory=list)
    greeted: list[str] = field(default_factory=list)
    routed: list[str] = field(default_factory=list)

    def configure(self, request: Any, context: Any) -> Any:
        self.greeted.append(request.name)
        self.routed.append(dict(context.invocation_metadata())["splitc-pair"])
        if request.name not in self.names:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        reply = oip.ModelConfigResponse()
        reply.config.platform = "ensemble"
        reply.config.parameters[protocol.PAIR_ID].string_value = self.names[request.name]
        return reply

    def stream(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        half = CloudHalf(open_bundle(self.bundle))
        self.routed.append(dict(context.invocation_metadata())["splitc-pair"])
        for request in requests:
            said, packet = request.parameters, protocol.packet_of(request)
            starts, ends = said["sequence_start"].bool_param, said["sequence_end"].bool_param
            self.seen.append((said["sequence_id"].int64_param, starts, ends, len(packet)))
            words = self.words.pop(len(self.seen) - 1, "")
            reply = oip.ModelInferResponse(id=request.id)
            if packet and not words:
                reply = protocol.answer_reply(request.model_name, request.id, half.answer(half.decode(packet)), {})
            yield oip.ModelStreamInferResponse(error_message=words, infer_response=reply)


@contextlib.contextmanager
def keeping(bundle: Path, *names: str, **more: Any) -> Iterator[tuple[Keeper, str]]:
    opened = open_bundle(bundle)
    one = Keeper(bundle, dict.fromkeys(names or (opened.name,), opened.pair_id), **more)
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {
        "ModelConfig": grpc.unary_unary_rpc_method_handler(
            one.configure, oip.ModelConfigRequest.FromString, oip.ModelConfigResponse.SerializeToString
        ),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
            one.stream, oip.ModelInferRequest.FromString, oip.ModelStreamInferResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield one, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(10)


def samples(count: int) -> Iterator[Sample]:
    random = np.random.default_rng(5)
    for index in range(count):
        yield Sample(f"f{index}", {"image": random.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)}, "clip")


def test_a_sequence_begins_and_ends(temporal: Path) -> None:
    with keeping(temporal) as (keeper, address):
        assert len(list(EdgeClient(open_bundle(temporal), Remote(address)).run(samples(5)))) == 5
    assert len({sequence for sequence, *_ in keeper.seen}) == 1
    assert [(starts, ends) for _, starts, ends, _ in keeper.seen] == [
        (True, False),
        *[(False, False)] * 4,
        (False, True),
    ]
    assert keeper.seen[-1][3] == 0


def test_it_ends_when_the_run_is_interrupted(temporal: Path) -> None:
    """As Ctrl-C and SIGTERM do: the frame that is awaited never comes."""
    with keeping(temporal) as (keeper, address):
        run = EdgeClient(open_bundle(temporal), Remote(address), ClientOptions(window=2)).run(samples(500))
        for _ in range(3):
            next(run)
        with pytest.raises(KeyboardInterrupt):
            run.throw(KeyboardInterrupt)
    assert [ends for *_, ends, _ in keeper.seen].count(True) == 1
    assert keeper.seen[-1][2:] == (True, 0)


def test_a_forgotten_sequence_is_begun_anew(temporal: Path) -> None:
    with keeping(temporal, words={2: f"in ensemble 'm', {FORGOTTEN}"}) as (keeper, address):
        client = EdgeClient(open_bundle(temporal), Remote(address), ClientOptions(window=1))
        assert len(list(client.run(samples(5)))) == 5
    assert [starts for _, starts, _, _ in keeper.seen] == [True, False, False, True, False, False, False]
    assert (client.counters.keyframes_asked, client.counters.reconnected) == (1, 0)


def test_frames_that_stand_alone_have_no_sequence(bundle: Path) -> None:
    with keeping(bundle) as (keeper, address):
        assert len(list(EdgeClient(open_bundle(bundle), Remote(address)).run(samples(3)))) == 3
    assert [sequence for sequence, *_ in keeper.seen] == [0, 0, 0]


def test_a_build_is_found_by_its_own_name(temporal: Path) -> None:
    opened = open_bundle(temporal)
    own = model_of_pair(opened.name, opened.pair_id)
    with keeping(temporal, own) as (keeper, address):
        keeper.names[opened.name] = "0" * 64
        assert len(list(EdgeClient(opened, Remote(address)).run(samples(3)))) == 3
    assert keeper.greeted == [opened.name, own]
    assert set(keeper.routed) == {opened.pair_id[:12]}


def test_another_build_is_asked_again_and_then_refused(temporal: Path) -> None:
    """Behind one address several builds may answer; a few connections tell."""
    opened = open_bundle(temporal)
    with keeping(temporal) as (keeper, address):
        keeper.names[opened.name] = "0" * 64
        with pytest.raises(RemoteError, match=rf"serves 'tiny' of pair 000000000000, .* of pair {opened.pair_id[:12]}"):
            list(EdgeClient(opened, Remote(address)).run(samples(3)))
        assert keeper.greeted.count(opened.name) == 2 * FOREIGN_TRIES


def test_a_stream_that_met_another_build_is_opened_anew(temporal: Path) -> None:
    """A balancer may send the greeting to one server and the stream to the next."""
    foreign = "in ensemble 'tiny', bitstream: Pair_Tag at offset 2 is 00000000, this decoder's is 5d5d5d5d"
    with keeping(temporal, words={0: foreign}) as (_, address):
        client = EdgeClient(open_bundle(temporal), Remote(address))
        assert len(list(client.run(samples(5)))) == 5
    assert client.counters.reconnected == 1
