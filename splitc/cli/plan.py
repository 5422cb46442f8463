"""``splitc plan RECIPE|MODEL``: scored cuts, the Pareto set, what-if over links, and switching along a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.build import NoCache, Set
from splitc.cli.options import grouped
from splitc.cli.verdict import verdict_lines
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.device import Link, Precision
    from splitc.driver import Answer, Question
    from splitc.plan import Plan, Point, Replay
    from splitc.recipe import Recipe

SHOWN = 12
"""Rows of a table; --json has them all."""
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class PlanOptions:
    """What to compare beside, or in place of, what the recipe says."""

    uplink: Annotated[str, typer.Option(metavar="MBPS,...", help="Links to compare; the first one decides.")] = ""
    rtt: Annotated[float | None, typer.Option(metavar="MS", help="Round trip.")] = None
    edge: Annotated[str, typer.Option(metavar="DEVICE", help="Edge device; else the recipe's.")] = ""
    cloud: Annotated[str, typer.Option(metavar="DEVICE", help="Cloud device; else the recipe's.")] = ""
    objective: Annotated[str, typer.Option(help="latency, energy, uplink or throughput; else the recipe's.")] = ""
    codec: Annotated[
        list[str] | None, typer.Option("--codec", metavar="PROFILE,KEY=VALUE", help="A codec to try; may be repeated.")
    ] = None
    bits: Annotated[str, typer.Option(metavar="N,...", help="Bits per symbol to try.")] = ""
    precision: Annotated[str, typer.Option(metavar="TYPE,...", help="fp32, fp16, int8 to try for both halves.")] = ""
    data: Annotated[str, typer.Option(metavar="GLOB", help="Real samples to measure on; else the recipe's.")] = ""
    trace: Annotated[
        Path | None, typer.Option(help='CSV "seconds,uplink_mbps[,rtt_ms]": say when to switch between cuts.')
    ] = None
    fit: Annotated[
        list[str] | None,
        typer.Option("--fit", metavar="MODEL=PROFILE", help="Fit the edge's times to a profile; may be repeated."),
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """What is written beside the answer."""

    save_edge: Annotated[
        Path | None, typer.Option("--save-edge", metavar="TOML", help="Write the fitted edge as a device file.")
    ] = None
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write graph.svg and latency.svg into this folder.")
    ] = None


@app.command()
@grouped
def plan(
    target: Annotated[str, typer.Argument(metavar="RECIPE|MODEL", help="A recipe, an ONNX file, or zoo:NAME.")],
    asked: PlanOptions,
    outputs: OutputOptions,
    overrides: Set = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="Folder that relative paths refer to; else the recipe's.")
    ] = None,
    no_cache: NoCache = False,
    json: Json = False,
) -> None:
    """Price every cut beside edge-only and cloud-only, and choose."""
    from splitc import driver
    from splitc.cache import NO_CACHE, default_cache
    from splitc.cli.progress import make_watch

    recipe = _recipe(target, [*(overrides or []), *_overrides(asked)], base)
    question = _question(asked)
    if outputs.save_edge is not None:
        say(f"  {_save_edge(recipe, question, outputs.save_edge)}")
    if outputs.pictures is not None:
        _make_folder(outputs.pictures)
    answer = driver.make_plan(recipe, question, make_watch(), NO_CACHE if no_cache else default_cache())
    print_json(answer.to_json()) if json else show(answer)
    if outputs.pictures is not None:
        _write_pictures(answer, outputs.pictures)


def _overrides(asked: PlanOptions) -> list[str]:
    """What replaces keys of the recipe."""
    changes = {
        "link.rtt_ms": asked.rtt,
        "target.edge.device": asked.edge,
        "target.cloud.device": asked.cloud,
        "split.objective": asked.objective,
        "data.calibration": asked.data,
    }
    return [f"{key}={value}" for key, value in changes.items() if value not in ("", None)]


def _question(asked: PlanOptions) -> Question:
    """What is compared beside the recipe's own choice."""
    from splitc import driver

    return driver.Question(
        uplinks_mbps=_numbers(asked.uplink, "--uplink"),
        codecs=asked.codec or (),
        bits=_whole_numbers(asked.bits, "--bits"),
        precisions=_precisions(asked.precision),
        trace=asked.trace,
        fits=_fits(asked.fit or []),
    )


def show(answer: Answer) -> None:
    """Each link's table, then what all links have in common."""
    for link, one in zip(answer.links, answer.plans, strict=True):
        _show_plan(answer, link, one)
    if len(answer.plans) > 1:
        print(f"\n  {'Mbit/s':>8}  {'chosen':<44} best cut")
        for link, one in zip(answer.links, answer.plans, strict=True):
            print(f"  {link.uplink_mbps:8g}  {_title(one.chosen):<44} {_title(one.best_cut)}")
    if answer.replay is not None:
        _show_replay(answer.replay)
    if unit := answer.plans[0].divergence_unit:
        say(f"  diverge: mean {unit}; codings of the input have that of the first link's best cut, or of the gate.")
    for note in [answer.plans[0].note, *answer.notes]:
        say(f"  {note}")


def _make_folder(folder: Path) -> None:
    """Before the long step: what cannot be written is said at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--pictures: {folder} cannot be made ({error.strerror}).") from error


def _write_pictures(answer: Answer, folder: Path) -> None:
    from splitc.files import locked_together, write_together
    from splitc.report import graph_picture, latency_picture, standalone

    document = answer.to_json()
    best = document["best_cut"]
    drawn = {
        "graph.svg": graph_picture(document["outline"], best["cut"], best["payload_bytes"]),
        "latency.svg": latency_picture(document),
    }
    files = {folder / name: standalone(picture) for name, picture in drawn.items()}
    with locked_together(files):
        write_together(files)
    for place in files:
        say(f"  {place}")


def _recipe(target: str, overrides: Sequence[str], base: Path | None) -> Recipe:
    from splitc import driver

    if target.endswith(".toml"):
        return driver.load_recipe(Path(target), overrides, base)
    return driver.recipe_of_model(target, overrides, base)


def _numbers(text: str, flag: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"{flag}: {text!r} is not a list of numbers such as 1,5,20.") from None


def _whole_numbers(text: str, flag: str) -> list[int]:
    numbers = _numbers(text, flag)
    if wrong := [number for number in numbers if not number.is_integer()]:  # inf and nan are none either
        raise UsageError(f"{flag}: {wrong[0]:g} is not a whole number; give numbers such as 2,4,8.")
    return [int(number) for number in numbers]


def _fits(texts: Sequence[str]) -> list[tuple[Path, Path]]:
    pairs = [text.rpartition("=")[::2] for text in texts]
    if wrong := [text for text, (model, record) in zip(texts, pairs, strict=True) if not (model and record)]:
        raise UsageError(f"--fit: {wrong[0]!r} is not MODEL=PROFILE, such as a.onnx=a.json.")
    return [(Path(model), Path(record)) for model, record in pairs]


def _save_edge(recipe: Recipe, question: Question, path: Path) -> Path:
    from splitc import driver
    from splitc.device import save_device

    if not question.fits:
        raise UsageError("--save-edge writes a fitted device; give --fit MODEL=PROFILE.")
    return save_device(driver.fit_edge(driver.find_places(recipe).edge, question.fits), path)


def _precisions(text: str) -> list[Precision]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if wrong := [word for word in words if word not in PRECISIONS]:
        raise UsageError(f"--precision: {wrong[0]!r} is not one of {', '.join(PRECISIONS)}.")
    return cast("list[Precision]", words)


def _show_plan(answer: Answer, link: Link, one: Plan) -> None:
    print(f"\n{answer.edge} to {answer.cloud}, {link.uplink_mbps:g} Mbit/s, round trip {link.rtt_ms:g} ms")
    for line in verdict_lines(one.verdict.headline, one.verdict.warnings):
        print(f"  {line}")
    print(f"  {'total ms':>9} {'edge':>7} {'encode':>6} {'wire':>8} {'decode':>6} {'cloud':>7} {'bytes':>8}", end="")
    print(f" {'1/s':>6} {'mJ':>7} {'fidelity':>8} {'diverge':>8}  way")
    ways = sorted([*_shown(one), *one.baselines], key=lambda way: way.latency.total_ms)
    for way in ways:
        _show_row(way, "*" if way is one.chosen else "+" if way is one.best_cut else " ")
    hidden = len(one.points) + len(one.baselines) - len(ways)
    priced = {point.cut for point in one.points}
    others = sum(cut.names not in priced for cut in one.rejected)
    print(f"  * chosen by {one.objective}; + best cut{_proof(one)}. Not shown: {hidden} of {len(one.points)}", end=" ")
    print(f"priced points, and {others} values and sets that were not priced in full; --json gives each one's reason.")


def _proof(one: Plan) -> str:
    if not one.best_cut.is_measured:
        return " (by estimates: nothing was measured)"
    if one.best_cut.refused:
        return ", which is not good enough"
    return " (no other cut can beat it)" if one.is_proven else " (cuts that were not measured might still beat it)"


def _shown(one: Plan) -> list[Point]:
    """The best cut and the Pareto set, as far as they fit; of points that are predicted alike only one."""
    pareto = [point for point in one.points if point.is_pareto and point is not one.best_cut]
    alike: dict[object, Point] = {}
    for point in [one.best_cut, *sorted(pareto, key=lambda point: point.latency.total_ms)]:
        way = point.codec, point.edge_precision, point.cloud_precision
        alike.setdefault((round(point.latency.total_ms, 9), point.payload_bytes, point.fidelity, *way), point)
    return list(alike.values())[:SHOWN]


def _show_row(way: Point, mark: str) -> None:
    times = way.latency
    energy = "-" if way.energy_mj is None else f"{way.energy_mj:.1f}"
    fidelity = "-" if way.fidelity is None else f"{way.fidelity:.3f}"
    divergence = "-" if way.divergence is None else f"{way.divergence:.2e}"
    numbers = f"{times.total_ms:9.2f} {times.edge_ms:7.2f} {times.encode_ms:6.2f} {times.wire_ms:8.2f}"
    numbers += f" {times.decode_ms:6.2f} {times.cloud_ms:7.2f} {way.payload_bytes:8.0f}"
    refused = f"  [{way.refused}]" if way.refused else ""
    numbers += f" {way.throughput_per_s:6.0f} {energy:>7} {fidelity:>8} {divergence:>8}"
    print(f"{mark} {numbers}  {_title(way)}{refused}")


def _title(way: Point) -> str:
    precision = "" if way.edge_precision == way.cloud_precision == "fp32" else f", {way.edge_precision}"
    return f"{way.name} ({way.codec}{precision})" if way.cut else way.name


def _show_replay(replay: Replay) -> None:
    print("\n  which cut is fastest at which rate")
    for one in replay.ranges:
        upper = "" if one.to_mbps is None else f" to {one.to_mbps:.3g}"
        print(f"  {f'{one.from_mbps:.3g}{upper} Mbit/s':>24}  {one.name} ({one.codec})")
    print(f"\n  along the trace of {replay.samples} rows: {len(replay.switches) - 1} switches")
    for switch in replay.switches[:SHOWN]:
        instead = "" if switch.instead_ms is None else f" instead of {switch.instead_ms:.2f}"
        if switch.total_ms is None:
            print(f"  {switch.at_s:10.2f} s  {'outage':>15}  {switch.name}, which sends the fewest bytes")
            continue
        when = f"{switch.at_s:10.2f} s  {switch.uplink_mbps:8.3g} Mbit/s"
        print(f"  {when}  {switch.name}: {switch.total_ms:.2f} ms{instead}")
    print(f"\n  {'mean ms':>10} {'p95':>9} {'max':>9}")
    for outcome in replay.outcomes:
        print(f"  {outcome.mean_ms:10.2f} {outcome.p95_ms:9.2f} {outcome.max_ms:9.2f}  {outcome.name}")
