"""``splitc run BUNDLE INPUT...``: both halves in this process, or the edge half here and the cloud half on a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.together import Needs, check_together

if TYPE_CHECKING:
    from splitc.backends import Runner
    from splitc.bundle import Bundle

LATEST = 100_000
"""Answers of a live source that the percentiles are of: it may go on for months."""
_REMOTE = ("token_file", "tls_ca", "tls_cert", "tls_key", "insecure", "also", "fall_back", "window", "patience_s")
RULES = tuple(Needs(option, "server", "it is for a pair over a network") for option in _REMOTE)


@app.command()
def run(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Pictures, videos, .npy/.npz, folders, globs, package:NAME/GLOB; or a camera, an rtsp:// URL."
        ),
    ],
    server: Annotated[str | None, typer.Option(help="HOST:PORT of splitc serve; else both halves run here.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="The first token in it is shown to the server.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="The server's certificate must come from these, PEM.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="This client's certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Plain text also to another machine.")] = False,
    also: Annotated[
        list[Path] | None, typer.Option(help="Bundles of smaller packets, for when the link gets slower.")
    ] = None,
    fall_back: Annotated[bool, typer.Option("--fall-back", help="Run the tail here while the server is away.")] = False,
    window: Annotated[int, typer.Option(min=1, help="Frames under way at once.")] = 8,
    patience_s: Annotated[float, typer.Option(min=0, help="Seconds to wait for a server that is away.")] = 60.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads that ONNX Runtime may use.")] = 1,
    engine: Annotated[
        bool, typer.Option("--engine", help="The edge half's engine that splitc engine built here, not ONNX Runtime.")
    ] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many.")] = None,
    json: Json = False,
) -> None:
    """Run pictures through the edge half, the bitstream and the cloud half; print the answers."""
    from splitc.bundle import open_bundle
    from splitc.runtime import CloudHalf, EdgeHalf, Reader, find_files, run_pair

    check_together(context, RULES)
    opened = open_bundle(bundle)
    live = _live_source(inputs, needs_end=json and not frames)
    open_head = _open_engine if engine else _no_engine
    if server is None:
        edge = EdgeHalf(opened, threads=threads, engine=open_head(opened))
        cloud = CloudHalf(opened, threads=threads)
        contract, client = edge.contract, None
    else:
        from splitc.runtime import ClientOptions, EdgeClient, Remote, TlsFiles, read_tokens

        token = read_tokens(token_file)[0] if token_file else None
        remote = Remote(server, TlsFiles(tls_cert, tls_key, tls_ca), token, insecure)
        options = ClientOptions(window=window, patience_s=patience_s, drops_late=bool(live), falls_back=fall_back)
        client = EdgeClient([opened, *map(open_bundle, also or [])], remote, options, threads, open_head)
        contract = client.contract
    reader = Reader(contract.inputs, contract.preprocess)
    samples = islice(reader.frames(live) if live else reader.samples(find_files(inputs, Path())), frames)
    lines: deque[dict[str, Any]] = deque(maxlen=LATEST if live else None)
    try:
        with closing(client.run(samples) if client else run_pair(edge, cloud, samples)) as answers:
            lines.extend(_show(answer, contract, json) for answer in answers)
    finally:
        counters = client.counters.as_dict() if client else {}
        stages = percentiles([line["ms"] for line in lines])
        if lines and not json:
            _summarize(stages, counters)
    if json:
        print_json({"results": list(lines), "stages_ms": stages} | ({"counters": counters} if counters else {}))


def _live_source(inputs: Sequence[str], *, needs_end: bool) -> str | None:
    """The camera or stream among the inputs."""
    from splitc.errors import UsageError
    from splitc.runtime import is_live

    live = next((source for source in inputs if is_live(source)), None)
    if live and len(inputs) > 1:
        raise UsageError(f"{live}: goes on for ever; run it alone.")
    if live and needs_end:
        raise UsageError(f"{live}: goes on for ever, and --json is one document; say how many with --frames.")
    return live


def _summarize(stages: Mapping[str, Mapping[str, float]], counters: Mapping[str, int]) -> None:
    """For people, also when the run was interrupted: a camera's run ends no other way."""
    for stage, values in stages.items():
        say(f"  {stage:<8} p50 {values['p50']:8.2f}   p95 {values['p95']:8.2f}   p99 {values['p99']:8.2f} ms")
    if counters:
        say("  " + ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counters.items()))


def _open_engine(bundle: Bundle) -> Runner:
    """The engine of the edge half that stands in this user's cache, checked."""
    from splitc.runtime import find_order, open_engine

    return open_engine(bundle, find_order(bundle, "edge"))[0]


def _no_engine(bundle: Bundle) -> Runner | None:
    """ONNX Runtime runs the head."""
    return None


def _show(answer: Any, contract: Any, is_quiet: bool) -> dict[str, Any]:
    """The answer as JSON; also a line for people, as soon as it is there."""
    from splitc.runtime import describe

    said = describe(answer.outputs, contract)
    ms = {stage: round(value, 3) for stage, value in answer.ms.items()}
    if not is_quiet:
        text = f"{said['name']} ({said['share']:.0%})" if contract.task == "classification" else str(said)
        stages = " + ".join(f"{stage} {value:.2f}" for stage, value in ms.items() if stage != "total")
        print(f"{answer.name:<24} {text:<28} {answer.bitstream_bytes:>7,} bytes  {ms['total']:.2f} ms = {stages}")
    return {"input": answer.name, "answer": said, "payload_bytes": answer.bitstream_bytes, "ms": ms}


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
