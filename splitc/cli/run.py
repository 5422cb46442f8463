"""``splitc run BUNDLE INPUT...``: both halves in this process, or the edge half here and the cloud half on a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.option_rules import Needs, check_options
from splitc.cli.options import grouped
from splitc.cli.signature import Signers, open_checked

if TYPE_CHECKING:
    from splitc.backends import Runner
    from splitc.bundle import Bundle, Contract
    from splitc.cli.answers import Answers
    from splitc.runtime import InferenceResult, Reader, Sample
    from splitc.tasks import TaskAnswer

LATEST = 100_000
"""Answers that the percentiles are of, the last ones: a live source may go on for months."""
_REMOTE = ("token_file", "tls_ca", "tls_cert", "tls_key", "insecure", "also", "fall_back", "window", "patience_s")
RULES = (
    *(Needs(option, "server", "it is for a pair over a network") for option in _REMOTE),
    Needs("fps", "rate", "it says how many frames share a second's bits"),
)


@dataclass(frozen=True)
class ServerChoice:
    """The server that runs the cloud half, and how this client behaves towards it."""

    server: Annotated[str | None, typer.Option(help="HOST:PORT of splitc serve; else both halves run here.")] = None
    token_file: Annotated[Path | None, typer.Option(help="File whose first token is sent to the server.")] = None
    tls_ca: Annotated[Path | None, typer.Option(help="Authorities that may sign the server's certificate, PEM.")] = None
    tls_cert: Annotated[Path | None, typer.Option(help="This client's certificate chain, PEM.")] = None
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an unencrypted connection to another machine.")
    ] = False
    also: Annotated[
        list[Path] | None, typer.Option(help="Bundles with smaller packets, to switch to on a slower link.")
    ] = None
    fall_back: Annotated[bool, typer.Option("--fall-back", help="Run the tail here while the server is away.")] = False
    window: Annotated[int, typer.Option(min=1, help="Frames in flight at once.")] = 8
    patience_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for an unreachable server.")] = 60.0


@dataclass(frozen=True)
class EdgeOptions:
    """What runs here, and how."""

    threads: Annotated[int, typer.Option(min=1, help="Threads that ONNX Runtime may use.")] = 1
    engine: Annotated[
        bool, typer.Option("--engine", help="Run the engine that splitc engine built here for the edge half.")
    ] = False
    require_signature: Signers = None
    rate: Annotated[
        str | None,
        typer.Option(help="Hold the stream to '200 kbit/s' or '2000 B/frame'; the bundle needs codec.rungs."),
    ] = None
    fps: Annotated[float, typer.Option(min=0.001, help="Frames a second that --rate counts with.")] = 25.0

    @property
    def bytes_a_frame(self) -> float | None:
        """What ``rate`` asks for."""
        from splitc.codec import bytes_a_frame

        return None if self.rate is None else bytes_a_frame(self.rate, self.fps)


@dataclass(frozen=True)
class Kept:
    """What is kept of the answers, beside what is printed."""

    draw: Annotated[
        Path | None,
        typer.Option(help="Folder for the inputs with their answers drawn on them; a video gives a video."),
    ] = None
    save_outputs: Annotated[
        Path | None, typer.Option("--save-outputs", help="Folder for the network's outputs, one .npz an input.")
    ] = None


@app.command()
@grouped
def run(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, videos, .npy/.npz, folders, globs, package:NAME/GLOB; or a camera, an rtsp:// URL."
        ),
    ],
    remote: ServerChoice,
    edge: EdgeOptions,
    kept: Kept,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
    json: Json = False,
) -> None:
    """Run pictures through the edge half, the bitstream and the cloud half; print the answers."""
    from splitc.cli.answers import Answers
    from splitc.runtime import Reader

    check_options(context, RULES)
    opened, *also = (open_checked(one, edge.require_signature) for one in [bundle, *(remote.also or [])])
    live = _live_source(inputs, needs_end=json and not frames)
    pair = _local_pair(opened, edge) if remote.server is None else _remote_pair([opened, *also], remote, edge, live)
    reader = Reader(pair.contract.inputs, pair.contract.preprocess, keeps_pictures=kept.draw is not None)
    answers = Answers(pair.contract, kept.draw, kept.save_outputs)
    samples = islice(reader.frames(live) if live else _files(reader, inputs), frames)
    lines: list[dict[str, Any]] = []  # one document holds all of them
    times: deque[dict[str, float]] = deque(maxlen=LATEST)
    try:
        for line in _lines(pair, samples, answers, json):
            times.append(line["ms"])
            lines += [line] if json else []
    finally:
        counters = pair.counters()
        stages = percentiles(times)
        if times and not json:
            _summarize(stages, counters)
    if json:
        document = {"task": pair.contract.task, "results": lines, "stages_ms": stages}
        print_json(document | ({"counters": counters} if counters else {}))


def _files(reader: Reader, inputs: Sequence[str]) -> Iterator[Sample]:
    """Samples of the files that are named; what reading them leaves out or casts is said before."""
    from splitc.runtime import find_files

    files = find_files(inputs, Path())
    for remark in reader.remarks(files):
        say(remark)
    return reader.samples(files)


@dataclass(frozen=True)
class _Pair:
    """Both halves, wherever they run.

    Attributes:
        contract: The bundle's.
        run: Results in the order of the samples.
        counters: What happened on the network so far, by name; nothing without one.
    """

    contract: Contract
    run: Callable[[Iterable[Sample]], Generator[InferenceResult, None, None]]
    counters: Callable[[], dict[str, int]]


def _local_pair(bundle: Bundle, asked: EdgeOptions) -> _Pair:
    """Both halves in this process."""
    from splitc.runtime import CloudHalf, EdgeHalf, run_pair

    edge = EdgeHalf(bundle, threads=asked.threads, engine=_head_opener(asked)(bundle))
    if target := asked.bytes_a_frame:
        edge.hold_rate(target)
    cloud = CloudHalf(bundle, threads=asked.threads)
    return _Pair(edge.contract, lambda samples: run_pair(edge, cloud, samples), dict)


def _remote_pair(bundles: Sequence[Bundle], asked: ServerChoice, edge: EdgeOptions, live: str | None) -> _Pair:
    """The edge half here, the cloud half on the server; frames of a live source that come late are dropped."""
    from splitc.runtime import ClientOptions, EdgeClient, Remote, TlsFiles, read_tokens

    token = read_tokens(asked.token_file)[0] if asked.token_file else None
    assert asked.server is not None
    remote = Remote(asked.server, TlsFiles(asked.tls_cert, asked.tls_key, asked.tls_ca), token, asked.insecure)
    options = ClientOptions(
        window=asked.window,
        patience_s=asked.patience_s,
        drops_late=bool(live),
        falls_back=asked.fall_back,
        bytes_a_frame=edge.bytes_a_frame,
    )
    client = EdgeClient(bundles, remote, options, edge.threads, _head_opener(edge))
    return _Pair(client.contract, client.run, client.counters.as_dict)


def _head_opener(asked: EdgeOptions) -> Callable[[Bundle], Runner | None]:
    return _open_engine if asked.engine else _no_engine


def _live_source(inputs: Sequence[str], *, needs_end: bool) -> str | None:
    """The camera or stream among the inputs."""
    from splitc.errors import UsageError
    from splitc.runtime import is_live

    live = next((source for source in inputs if is_live(source)), None)
    if live and len(inputs) > 1:
        raise UsageError(f"{live}: never ends; give no other input beside it.")
    if live and needs_end:
        raise UsageError(f"{live}: never ends, and --json prints one document; limit it with --frames.")
    return live


def _summarize(stages: Mapping[str, Mapping[str, float]], counters: Mapping[str, int]) -> None:
    """For people, also when the run was interrupted: a camera's run ends no other way."""
    for stage, values in stages.items():
        say(f"  {stage:<8} p50 {values['p50']:8.2f}   p95 {values['p95']:8.2f}   p99 {values['p99']:8.2f} ms")
    if counters:
        say("  " + ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counters.items()))


def _open_engine(bundle: Bundle) -> Runner:
    """The engine of the edge half from this user's cache, checked."""
    from splitc.runtime import find_order, open_engine

    return open_engine(bundle, find_order(bundle, "edge"))[0]


def _no_engine(bundle: Bundle) -> Runner | None:
    """ONNX Runtime runs the head."""
    return None


def _lines(pair: _Pair, samples: Iterable[Sample], answers: Answers, is_quiet: bool) -> Iterator[dict[str, Any]]:
    """Results one by one; what is drawn is whole when they end, however that is."""
    with closing(answers), closing(pair.run(samples)) as results:
        for result in results:
            yield _show(result, answers.take(result), is_quiet)


def _show(result: InferenceResult, answer: TaskAnswer, is_quiet: bool) -> dict[str, Any]:
    """The answer as JSON; also a line for people, as soon as it is there."""
    ms = {stage: round(value, 3) for stage, value in result.ms.items()}
    if not is_quiet:
        stages = " + ".join(f"{stage} {value:.2f}" for stage, value in ms.items() if stage != "total")
        size = f"{result.bitstream_bytes:>7,} bytes"
        print(f"{result.name:<24} {answer.text:<28} {size}  {ms['total']:.2f} ms = {stages}")
    said = {"answer": answer.describe(), "payload_bytes": result.bitstream_bytes, "ms": ms}
    return {"input": result.name, **_origin(result.sample), **said}


def _origin(sample: Sample) -> dict[str, Any]:
    """File of a sample and the size of its picture, in whose pixels places are; null where there is none."""
    size = None if sample.placement is None else list(sample.placement.size)
    return {"file": None if sample.file is None else str(sample.file), "picture_px": size}


def percentiles(times: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 of every stage, in milliseconds; nothing where nothing was answered."""
    import numpy as np

    if not times:
        return {}
    return {
        stage: {
            f"p{rank}": round(float(np.percentile([one[stage] for one in times], rank)), 3) for rank in (50, 95, 99)
        }
        for stage in times[0]
    }
