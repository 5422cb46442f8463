"""``splitc build RECIPE``: everything, into one bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.verdict import verdict_lines
from splitc.errors import CheckFailed

if TYPE_CHECKING:
    from splitc.plan import Plan

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")]

NoCache = Annotated[bool, typer.Option("--no-cache", help="Compute every step, and keep none for the next time.")]


ACCURACY_NAMES = {"top1": "top-1", "top5": "top-5", "map50_95": "mAP50-95", "map50": "mAP50", "miou": "mIoU"}


@app.command()
def build(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the bundle; else artifacts/NAME here.")] = None,
    overrides: Set = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="Folder that the recipe's relative paths refer to; else its own.")
    ] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse inputs that the recipe does not pin by hash.")
    ] = False,
    no_cache: NoCache = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Choose the cut, print the plan, write nothing.")] = False,
    json: Json = False,
) -> None:
    """Cut, code, compile, verify: a recipe becomes a bundle."""
    from splitc import driver
    from splitc.cache import NO_CACHE, default_cache
    from splitc.cli.progress import make_watch

    read = driver.load_recipe(recipe, overrides or [], base)
    cache = NO_CACHE if no_cache else default_cache()
    if dry_run:
        plan = driver.choose(driver.find_inputs(read, locked=locked, cache=cache))
        print_json(plan.to_json()) if json else show_plan(plan)
        return
    place = out or Path("artifacts") / read.name
    say(f"splitc: building {read.name}")
    try:
        built = driver.build(read, place, make_watch(), locked=locked, cache=cache)
    except CheckFailed as error:  # the numbers that did not hold are a document too
        if json and error.document is not None:
            print_json(error.document)
        raise
    print_json(built.document) if json else show(built.document)


def _samples(count: int) -> str:
    return f"{count} {'sample' if count == 1 else 'samples'}"


def show(document: Mapping[str, Any]) -> None:
    """The outcome in a dozen lines."""
    before, after = document["feature_bytes"], document["payload_bytes_mean"]
    say()
    for line in verdict_lines(document["verdict"]["headline"], document["verdict"]["warnings"]):
        say(f"  {line}")
    say("  (Of the plan: predicted times, packets of calibration samples. Below: of verification.)")
    say(f"  cut        {', '.join(document['cut'])}")
    say(f"  wire       {before:,} -> {after:,.0f} bytes a sample ({before / after:.1f}x less)")
    say(f"  rate       {document['rate_bpe']:.3f} bits an element; zstd-19 {document['baseline_rate_bpe']:.3f}")
    say(f"  fidelity   {document['fidelity']:.4f} on {_samples(document['samples'])}{_kl(document['kl'])}")
    say(f"  {document['task']:<10} {document['headline']}")
    if document["agreement"]["labelled"]:
        say(f"  labels     of {document['agreement']['labelled']} of {_samples(document['samples'])}")
    for one in document["agreement"]["accuracy"]:
        say(f"  {ACCURACY_NAMES.get(one['name'], one['name']):<10} {one['reference']:.4f} -> {one['other']:.4f}")
    if document["recovery"] is not None:
        say(f"  recovery   {_won(document['recovery'])}")
    for one in document["weights"]:
        say(
            f"  {one['side']:<10} {one['step']}: packed {_change(one, 'packed_bytes')}, in the graph and in memory "
            f"{_change(one, 'memory_bytes')}; time {one['time']}"
        )
    for engine in document["engines"]:
        say(f"  {engine['side']:<10} {engine['target']} {engine['backend']}: {engine['status']}{_why(engine)}")
    for gate in document["gates"]:
        verdict = "holds" if gate["ok"] else "missed"
        say(f"  gate       {gate['name']} {gate['value']:.4g} against {gate['limit']:.4g}: {verdict}")
    for example in document["examples"]:
        full, split = (_with_share(example, key) for key in ("before", "after"))
        say(f"  {example['name']:<20} full: {full:<28} split: {split}")
    say(f"\n  {document['bundle']}/report.html")


def _won(recovery: Mapping[str, Any]) -> str:
    """What training came to."""
    free, chosen = recovery["training_free"], recovery["chosen"]
    if not recovery["is_kept"]:
        return f"no bottleneck takes fewer bytes than {free['payload_bytes']:,.0f} at the same divergence; none is kept"
    return (
        f"{recovery['channels']} channels: {free['payload_bytes']:,.0f} -> {chosen['payload_bytes']:,.0f} bytes a "
        f"sample at the same divergence"
    )


def _with_share(example: Mapping[str, Any], key: str) -> str:
    """An answer, and how sure it is where the task says that."""
    share = example[f"{key}_share"]
    return str(example[key]) if share is None else f"{example[key]} ({share:.0%})"


def _kl(divergence: float | None) -> str:
    return "" if divergence is None else f" (KL {divergence:.2e} nats)"


def show_plan(plan: Plan) -> None:
    """The measured cuts, cheapest first."""
    for line in verdict_lines(plan.verdict.headline, plan.verdict.warnings):
        say(f"  {line}")
    say(f"  {'total ms':>9} {'edge':>8} {'wire':>8} {'cloud':>8} {'bytes':>9}  cut")
    for point in sorted(plan.points, key=lambda one: one.latency.total_ms):
        times = point.latency
        mark = "*" if point is plan.best_cut else " "
        numbers = f"{times.total_ms:9.2f} {times.edge_ms:8.2f} {times.wire_ms:8.2f} {times.cloud_ms:8.2f}"
        say(f"{mark} {numbers} {point.payload_bytes:9.0f}  {', '.join(point.cut)}")
    for baseline in plan.baselines:
        times = baseline.latency
        numbers = f"{times.total_ms:9.2f} {times.edge_ms:8.2f} {times.wire_ms:8.2f} {times.cloud_ms:8.2f}"
        say(f"  {numbers} {baseline.payload_bytes:9.0f}  {baseline.name}")
    priced = {point.cut for point in plan.points}
    others = sum(cut.names not in priced for cut in plan.rejected)
    say(f"  {others} values and sets were not priced in full; --json gives each one's reason.\n  {plan.note}")


def _change(saving: Mapping[str, Any], what: str) -> str:
    before, after = saving[f"{what}_before"], saving[what]
    return f"{after:,} bytes as before" if after == before else f"{before:,} -> {after:,} bytes"


def _why(engine: Mapping[str, Any]) -> str:
    if engine["status"] == "built":
        return f" {engine['path']}"
    return (
        f", {engine['reason']}\n{'':13}finish it: {engine['command']}" if engine["command"] else f", {engine['reason']}"
    )
