"""The two halves over a real socket: the same answers as in one process, whatever the network does in between."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trustme
from deadline import end, first_document
from e2e_setting import SIDE, build, cli, setting
from refusals import assert_refused

from splitc.bundle import open_bundle
from splitc.errors import RemoteError, SplitcError, UsageError
from splitc.runtime import CloudHalf, EdgeHalf, Sample, run_pair

pytest.importorskip("grpc", reason="needs splitc[serve]")
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

import grpc
from serving import Loop, Relay, relayed, serving
from tritonclient.utils import InferenceServerException

from splitc.runtime.client import ClientOptions, EdgeClient, Remote
from splitc.runtime.security import TlsFiles

TOKEN = "a-token-for-tests-1"


@pytest.fixture(scope="module")
def video_bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames predicted from each other: a lost packet is felt."""
    out = tmp_path_factory.mktemp("video") / "video"
    outcome = build(source, out, *setting("name=video", "codec.temporal=dpcm", "codec.gop=50"))
    assert outcome.code == 0, outcome.err
    return out


def samples(count: int = 40, seed: int = 0) -> list[Sample]:
    """A clip that moves a little."""
    rng = np.random.default_rng(seed)
    still = rng.standard_normal((1, 3, SIDE, SIDE))
    noise = rng.standard_normal((count, 3, SIDE, SIDE)) * 0.05
    return [Sample(f"f{k}", {"image": (still + noise[k : k + 1]).astype(np.float32)}, "clip") for k in range(count)]


def local(bundle: Path, frames: list[Sample]) -> list[dict[str, np.ndarray]]:
    opened = open_bundle(bundle)
    return [answer.outputs for answer in run_pair(EdgeHalf(opened), CloudHalf(opened), frames)]


def edge(bundle: Path, address: str, **options: object) -> EdgeClient:
    return EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(patience_s=20, **options))


def assert_same(got: list[dict[str, np.ndarray]], want: list[dict[str, np.ndarray]]) -> None:
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in other)


@pytest.fixture(scope="module")
def stream_bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Symbols predicted without loss: the same answers wherever the keyframes are."""
    out = tmp_path_factory.mktemp("stream") / "stream"
    outcome = build(source, out, *setting("name=stream", "codec.temporal=difference"))
    assert outcome.code == 0, outcome.err
    return out


@pytest.fixture(scope="module", params=["bundle", "stream_bundle"])
def any_bundle(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("name", ["bundle", "stream_bundle", "video_bundle"])
def test_answers_are_those_of_one_process(name: str, request: pytest.FixtureRequest) -> None:
    frames, path = samples(), request.getfixturevalue(name)
    with serving([path], max_batch=1) as (address, _):
        answers = list(edge(path, address).run(iter(frames)))
    assert [answer.name for answer in answers] == [frame.name for frame in frames]
    assert_same([answer.outputs for answer in answers], local(path, frames))


@pytest.mark.slow
def test_a_server_follows_a_stream_that_is_held_to_a_rate(source: Path, tmp_path: Path) -> None:
    """Motion and changing steps, frames in flight: the answers of one process that is held to the same rate."""
    asked = ("name=rate", "codec.temporal=motion", "codec.rungs=4", "codec.step=0.25")
    assert build(source, tmp_path / "rate", *setting(*asked)).code == 0
    opened, frames = open_bundle(tmp_path / "rate"), samples()
    half = EdgeHalf(opened)
    half.hold_rate(120)
    alone = list(run_pair(half, CloudHalf(opened), frames))
    with serving([tmp_path / "rate"], max_batch=1) as (address, _):
        answers = list(edge(tmp_path / "rate", address, bytes_a_frame=120).run(iter(frames)))
    assert_same([answer.outputs for answer in answers], [answer.outputs for answer in alone])
    assert [answer.bitstream_bytes for answer in answers] == [answer.bitstream_bytes for answer in alone]
    assert half.stream.rung != 2, "it began in the middle, and the rate is not that of the middle"


def test_times_add_up(bundle: Path) -> None:
    with serving([bundle]) as (address, _):
        for answer in edge(bundle, address).run(iter(samples(8))):
            assert list(answer.ms) == ["edge", "wait", "encode", "wire", "decode", "queue", "cloud", "total"]
            assert sum(answer.ms.values()) - answer.ms["total"] == pytest.approx(answer.ms["total"], rel=1e-6)
            assert min(answer.ms.values()) >= 0


def cut(relay: Relay, thread: Loop) -> None:
    thread.run(relay.cut())


def go_dark(relay: Relay, thread: Loop) -> None:
    relay.is_dark = True
    thread.later(0.4, lambda: setattr(relay, "is_dark", False))


def flip_a_bit(relay: Relay, thread: Loop) -> None:
    def spoil(data: bytes) -> bytes:
        relay.spoil = bytes
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]

    relay.spoil = spoil


@pytest.mark.parametrize("harm", [cut, go_dark, flip_a_bit])
def test_a_bad_network_loses_nothing(any_bundle: Path, harm: Callable[[Relay, Loop], None]) -> None:
    """What was not answered is sent again; after a loss the stream begins anew with a keyframe."""
    frames, got = samples(60), []
    with serving([any_bundle], max_batch=1) as (address, _), relayed(address) as (relay, thread):
        one = edge(any_bundle, relay.address)
        for answer in one.run(iter(frames)):
            got.append(answer)
            if len(got) in (5, 20, 35):
                harm(relay, thread)
    assert [answer.name for answer in got] == [frame.name for frame in frames]
    assert one.counters.answered == 60
    if harm is cut:
        assert one.counters.reconnected > 0
    assert_same([answer.outputs for answer in got], local(any_bundle, frames))


def test_a_server_that_comes_back_gets_what_it_missed(bundle: Path) -> None:
    frames, got = samples(40), []
    with serving([bundle]) as (address, _), relayed(address) as (relay, thread):
        one = edge(bundle, relay.address)
        for answer in one.run(iter(frames)):
            got.append(answer)
            if len(got) == 10:
                relay.target = ("127.0.0.1", 1)  # nobody listens there
                thread.run(relay.cut())
                thread.later(0.8, partial(setattr, relay, "target", ("127.0.0.1", int(address.rpartition(":")[2]))))
    assert_same([answer.outputs for answer in got], local(bundle, frames))
    assert one.counters.reconnected >= 2


def test_the_tail_runs_here_while_the_server_is_away(bundle: Path) -> None:
    frames, got = samples(60), []
    with serving([bundle], max_batch=1) as (address, _), relayed(address) as (relay, thread):
        one = edge(bundle, relay.address, falls_back=True)
        for answer in one.run(slowly(frames)):
            got.append(answer)
            if len(got) == 10:
                relay.target = ("127.0.0.1", 1)
                thread.run(relay.cut())
                thread.later(0.5, partial(setattr, relay, "target", ("127.0.0.1", int(address.rpartition(":")[2]))))
    assert [answer.name for answer in got] == [frame.name for frame in frames]
    assert_same([answer.outputs for answer in got], local(bundle, frames))
    assert one.counters.answered_here > 0
    assert one.counters.answered > 10
    assert one.counters.answered + one.counters.answered_here == 60


def test_frames_do_not_wait_for_a_server_that_swallows_everything(bundle: Path) -> None:
    """Hands are shaken for a while only, then frames that wait are answered here."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        one = edge(bundle, f"127.0.0.1:{deaf.getsockname()[1]}", falls_back=True)
        begun = time.monotonic()
        assert len(list(one.run(iter(samples(8))))) == 8
    assert one.counters.answered_here == 8
    assert time.monotonic() - begun < 8


def slowly(frames: list[Sample]) -> Iterator[Sample]:
    """A camera of 40 pictures a second."""
    for frame in frames:
        time.sleep(0.025)
        yield frame


def test_a_slow_link_gets_smaller_packets(source: Path, bundle: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    assert build(source, small, *setting("name=small", "codec.step=4")).code == 0
    with serving([bundle, small]) as (address, _), relayed(address) as (relay, _):
        relay.bytes_per_s = 15_000  # a frame then waits far longer than a busy machine computes
        both = EdgeClient([open_bundle(bundle), open_bundle(small)], Remote(relay.address))
        sizes = [answer.bitstream_bytes for answer in both.run(iter(samples(120)))]
    assert both.counters.switched > 0
    assert np.mean(sizes[-30:]) < np.mean(sizes[:10])


def test_a_slow_caller_is_no_slow_link(source: Path, bundle: Path, tmp_path: Path) -> None:
    """Answers that wait for whoever takes them tell nothing about the link."""
    small = tmp_path / "small"
    assert build(source, small, *setting("name=small", "codec.step=4")).code == 0
    with serving([bundle, small]) as (address, _):
        both = EdgeClient([open_bundle(bundle), open_bundle(small)], Remote(address))
        for _ in both.run(iter(samples(60))):
            time.sleep(0.02)
    assert both.counters.switched == 0


def test_a_server_that_stays_away_is_an_error(bundle: Path) -> None:
    one = EdgeClient(open_bundle(bundle), Remote("127.0.0.1:1"), ClientOptions(patience_s=0.5))
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:1: no answer for .* is splitc serve running there"):
        list(one.run(iter(samples(3))))


def test_another_pair_is_refused_with_both_ids(source: Path, bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert build(source, other, *setting("codec.bits=3")).code == 0
    ids = [open_bundle(path).pair_id[:12] for path in (bundle, other)]
    with serving([other]) as (address, _), pytest.raises(RemoteError) as caught:
        list(edge(bundle, address).run(iter(samples(3))))
    assert all(one in str(caught.value) for one in ids)


def test_a_bad_sample_is_the_client_s_error(bundle: Path) -> None:
    frames = samples(6)
    frames[4] = Sample("wrong", {"image": np.zeros((1, 3, 5, 7), np.float32)})
    with serving([bundle]) as (address, _):
        one = edge(bundle, address)
        with pytest.raises(SplitcError, match="image"):
            list(one.run(iter(frames)))
    assert one.counters.answered == 4


def test_several_bundles_and_clients_at_once(bundle: Path, video_bundle: Path) -> None:
    """Nobody gets another's answer."""
    with serving([bundle, video_bundle], max_batch=4) as (address, _), ThreadPoolExecutor(8) as pool:

        def ask(seed: int) -> list[dict[str, np.ndarray]]:
            path = (bundle, video_bundle)[seed % 2]
            return [answer.outputs for answer in edge(path, address).run(iter(samples(12, seed)))]

        got = list(pool.map(ask, range(8)))
    for seed, answers in enumerate(got):
        want = local((bundle, video_bundle)[seed % 2], samples(12, seed))
        for one, other in zip(answers, want, strict=True):  # rows of a batch differ in the last bits
            assert all(np.allclose(one[name], other[name], atol=1e-4) for name in other)


def test_a_stock_client_works(bundle: Path) -> None:
    opened, frame = open_bundle(bundle), samples(1)[0]
    half = EdgeHalf(opened)
    packet = np.frombuffer(half.encode(half.symbols(frame.feeds)), np.uint8)
    with serving([bundle]) as (address, _), stock.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny")
        metadata = client.get_model_metadata("tiny")
        assert [one.name for one in metadata.inputs] == ["packet"]
        given = stock.InferInput("packet", [len(packet)], "UINT8")
        given.set_data_from_numpy(packet)
        result = client.infer("tiny", [given])
        for name, want in local(bundle, [frame])[0].items():
            assert np.array_equal(result.as_numpy(name), want)


@pytest.mark.parametrize(
    ("spoil", "code", "message"),
    [
        pytest.param(lambda p: p[:-1], "DATA_LOSS", "bitstream", id="cut-packet"),
        pytest.param(lambda p: np.zeros(0, np.uint8), "DATA_LOSS", "bitstream", id="empty-packet"),
        pytest.param(lambda p: p.astype(np.float32), "INVALID_ARGUMENT", "must be 'packet' UINT8", id="type"),
    ],
)
def test_nonsense_is_refused(bundle: Path, spoil: Callable[..., np.ndarray], code: str, message: str) -> None:
    half = EdgeHalf(open_bundle(bundle))
    data = spoil(np.frombuffer(half.encode(half.symbols(samples(1)[0].feeds)), np.uint8))
    with serving([bundle]) as (address, _), stock.InferenceServerClient(address) as client:
        given = stock.InferInput("packet", list(data.shape), "UINT8" if data.dtype == np.uint8 else "FP32")
        given.set_data_from_numpy(data)
        with pytest.raises(InferenceServerException, match=message) as caught:
            client.infer("tiny", [given])
        assert code in str(caught.value.status())
        assert client.is_server_ready()


def test_tokens(bundle: Path) -> None:
    opened = open_bundle(bundle)
    with serving([bundle], tokens=(TOKEN,)) as (address, _):
        for token in (None, "another-token-here"):
            with pytest.raises(RemoteError, match="no known bearer token"):
                list(EdgeClient(opened, Remote(address, token=token)).run(iter(samples(2))))
        assert len(list(EdgeClient(opened, Remote(address, token=TOKEN)).run(iter(samples(2))))) == 2


def test_tls(bundle: Path, tmp_path: Path) -> None:
    good, old = certificate(tmp_path / "good", 30), certificate(tmp_path / "old", -1)
    opened = open_bundle(bundle)
    for client_files in (TlsFiles(ca=good.ca), good):
        with serving([bundle], tls=TlsFiles(good.cert, good.key, client_files.cert and good.ca)) as (address, _):
            assert len(list(EdgeClient(opened, Remote(address, client_files)).run(iter(samples(3))))) == 3
    for server_files, client_files in (
        (TlsFiles(old.cert, old.key), TlsFiles(ca=old.ca)),  # expired
        (TlsFiles(good.cert, good.key), TlsFiles(ca=old.ca)),  # of an authority that is not trusted
        (good, TlsFiles(ca=good.ca)),  # shows none where one is asked for
    ):
        with serving([bundle], tls=server_files) as (address, _), pytest.raises(RemoteError, match="no answer for"):
            list(EdgeClient(opened, Remote(address, client_files), ClientOptions(patience_s=0.5)).run(iter(samples(1))))


def certificate(folder: Path, days: int) -> TlsFiles:
    """A certificate of 127.0.0.1 from an authority of its own, valid until so many days from now."""
    folder.mkdir()
    authority = trustme.CA()
    until = datetime.now(timezone.utc) + timedelta(days=days)
    issued = authority.issue_cert("127.0.0.1", not_before=datetime(2020, 1, 1, tzinfo=timezone.utc), not_after=until)
    cert, key, ca = (folder / f"{name}.pem" for name in ("cert", "key", "ca"))
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return TlsFiles(cert, key, ca)


def test_plain_text_stays_on_this_machine(bundle: Path) -> None:
    with pytest.raises(UsageError, match="unencrypted"), serving([bundle], listen="0.0.0.0:0"):
        pass
    with pytest.raises(UsageError, match="unencrypted"):
        Remote("198.51.100.7:8001")


def test_a_client_s_rate_is_held(bundle: Path) -> None:
    with serving([bundle], rate=20) as (address, _):
        one = edge(bundle, address)
        assert len(list(one.run(iter(samples(30))))) == 30  # a refused packet is sent again later
    assert one.counters.sent_again > 0


def test_more_streams_than_allowed_wait(bundle: Path) -> None:
    with serving([bundle], max_streams=1) as (address, _), ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda seed: len(list(edge(bundle, address).run(iter(samples(10, seed))))), range(2))
        assert list(counts) == [10, 10]


def test_serve_and_run_as_commands(bundle: Path, source: Path) -> None:
    """Two processes; SIGTERM drains and ends with 0."""
    command = [
        sys.executable,
        "-c",
        "from splitc.cli import main; main()",
        "serve",
        str(bundle),
        "--listen",
        "127.0.0.1:0",
    ]
    process = subprocess.Popen(
        [*command, "--metrics", "127.0.0.1:0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        document = first_document(process)
        outcome = cli("run", bundle, source / "pictures", "--server", document["address"], "--json")
        with urllib.request.urlopen(f"http://{document['metrics']}/metrics", timeout=10) as page:
            metrics = page.read().decode()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        end(process)
    assert outcome.code == 0, outcome.err
    here = cli("run", bundle, source / "pictures", "--json").document["results"]
    there = outcome.document["results"]
    assert [(one["input"], one["answer"]) for one in there] == [(one["input"], one["answer"]) for one in here]
    assert outcome.document["counters"]["answered"] == len(here)
    assert f'splitc_answers_total{{model="tiny",outcome="answered"}} {len(here)}.0' in metrics


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--metrics", "nonsense"], "is not HOST:PORT"),
        (["--listen", "192.0.2.1:0", "--insecure"], "cannot listen there"),
        (["--listen", "127.0.0.1:0", "--tls-ca", "RECIPE"], "holds no certificate"),
    ],
)
def test_a_server_that_cannot_start_says_one_sentence(
    bundle: Path, source: Path, words: list[str], message: str
) -> None:
    """In a process of its own, since gRPC writes to the file descriptor."""
    said = [str(source / "recipe.toml") if word == "RECIPE" else word for word in words]
    command = [sys.executable, "-c", "from splitc.cli import main; main()", "serve", str(bundle), *said]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("splitc: ")
    assert done.stderr.count("\n") == 1


def test_so_many_frames_and_no_more(bundle: Path, source: Path) -> None:
    outcome = cli("run", bundle, source / "pictures", "--frames", "3", "--json")
    assert len(outcome.document["results"]) == 3


def test_one_document_of_what_never_ends_is_refused(bundle: Path) -> None:
    outcome = cli("run", bundle, "rtsp://127.0.0.1:1/x", "--json")
    assert_refused(outcome, 2)
    assert "limit it with --frames" in outcome.err


def test_the_edge_imports_no_compiler() -> None:
    program = (
        "import sys, splitc.runtime.client\n"
        "print([m for m in ('onnx', 'onnx_ir', 'torch', 'splitc.graph', 'splitc.driver') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_two_builds_of_one_name_are_served_at_once(source: Path, bundle: Path, tmp_path: Path) -> None:
    """The second one goes by its build; edges ask for theirs by both names."""
    other = tmp_path / "other"
    assert build(source, other, *setting("codec.bits=3")).code == 0
    with serving([bundle, other]) as (address, server):
        assert server.names == ["tiny", f"tiny.{open_bundle(other).pair_id[:12]}"]
        for path in (other, bundle):
            got = [answer.outputs for answer in edge(path, address).run(iter(samples(4)))]
            assert_same(got, local(path, samples(4)))
    with pytest.raises(UsageError, match=r"a bundle 'tiny' of pair .* is served already"), serving([bundle, bundle]):
        pass


def test_health_is_answered_as_any_server_s(bundle: Path) -> None:
    """``grpc.health.v1.Health/Check``, by anyone, whichever service is named."""
    with serving([bundle], tokens=("a-token-for-tests-1",)) as (address, server), grpc.insecure_channel(address) as one:
        check = one.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        assert check(b"", timeout=10) == b"\x08\x01"
        assert check(b"\x0a\x04tiny", timeout=10) == b"\x08\x01"
        server._service.is_ready = False
        assert check(b"", timeout=10) == b"\x08\x02"
