"""Recipe in, bundle out. Reads as a table of contents; every step lives in its own room."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from splitc import bundle, evaluate, graph, passes, plan, report
from splitc.backends import EngineRecord
from splitc.cache import Key, StepCache
from splitc.driver.blame import first_change
from splitc.driver.calibrate import Crossing, fit, samples_to_fit
from splitc.driver.choose import choose
from splitc.driver.inputs import Inputs, find_inputs
from splitc.driver.keys import halves_key
from splitc.driver.recovery import Recovered, recovered
from splitc.driver.verification import verified
from splitc.driver.watch import Stages, Watch
from splitc.driver.write import build_engines, describe, model_bytes, seal, write_pair, write_reports, write_sbom
from splitc.errors import BundleError, CheckFailed
from splitc.lowering import ComputeTarget, Lowered, LoweringRequest, count_lowering, lower, lowered_step
from splitc.recipe import Recipe
from splitc.runtime import Samples


@dataclass(frozen=True)
class Built:
    """A finished build: where it stands, and what ``build --json`` prints."""

    path: Path
    document: dict[str, Any]


def build(
    recipe: Recipe, out: Path, watch: Watch | None = None, *, locked: bool = False, cache: StepCache | None = None
) -> Built:
    """Everything: plan, split, fit, insert, compile, verify, report, seal.

    An earlier bundle at ``out`` is replaced when all gates hold. ``locked`` refuses inputs that the recipe does not pin
    by hash. ``cache`` keeps results of steps between builds; None: the user's own, ``NO_CACHE``: none.

    Raises:
        CheckFailed: A gate is missed or an engine failed. What was built stands at ``out`` + ".rejected".
        SplitcError: The recipe, an input or this machine is at fault; nothing is written.
    """
    stages = Stages(watch)
    with bundle.staging(out) as folder:
        with stages("load"):
            inputs = find_inputs(recipe, locked=locked, cache=cache)
        with stages("plan") as step:
            chosen = choose(inputs, step)
        halves = graph.split(inputs.model, chosen.best_cut.cut)
        trained = recovered(inputs, halves, stages)
        crossing, lowered, key = _lowered(inputs, trained, stages)
        to_fit = samples_to_fit(inputs, lowered.halves, crossing)
        with stages("calibrate", len(to_fit.samples)) as step:
            codec = fit(inputs, lowered.halves, to_fit, crossing, key, step)
        with stages("write"):
            pair = write_pair(folder, inputs, lowered, codec, to_fit.notes)
        with stages("engines", 2) as step:
            engines = build_engines(folder, inputs, step)
        with stages("verify", len(Samples.of(inputs.reader, inputs.verification))) as step:
            outcome = verified(inputs, halves, lowered, pair.bundle, engines, key, step)
        with stages("report"):
            gates = check_gates(recipe, folder, chosen, outcome.verification)
            document = describe(inputs, chosen, pair, folder) | {"recovery": trained.document}
            document |= report.outcome(outcome.verification, gates, engines, outcome.examples)
            write_reports(folder, document, outcome.verification)
            write_sbom(folder, inputs, codec, engines)
            seal(folder, inputs)
        summary = report.summary(document) | {"bundle": str(out), "seconds": stages.seconds}
        _require(_missed(inputs, chosen, gates, engines, outcome.verification), folder, out, summary)
    return Built(out, summary)


def _lowered(inputs: Inputs, found: Recovered, stages: Stages) -> tuple[Crossing, Lowered, Key]:
    """What crosses, the halves as they compute, and their key; a stage where weights change: it can take minutes."""
    crossing = Crossing.of(inputs, found)
    request = replace(lowering_request(inputs, found.halves), coding=crossing.coding(found.halves))
    key = halves_key(request, inputs.model_key, inputs.data_key, found.key)
    count = count_lowering(request)
    if not count:
        return crossing, _noted(lower(request), found), key
    with stages("weights", count) as step:
        lowered = inputs.cache.run(lowered_step(request.halves), key, lambda: lower(request, step))
    return crossing, _noted(lowered, found), key


def _noted(lowered: Lowered, found: Recovered) -> Lowered:
    """What was done to the halves before, first."""
    return replace(lowered, notes=(*found.notes, *lowered.notes))


def lowering_request(inputs: Inputs, halves: graph.Halves) -> LoweringRequest:
    """What the recipe asks of the halves, whatever crosses between them."""
    recipe, places = inputs.recipe, inputs.places
    sides = (("edge", recipe.target.edge, places.edge), ("cloud", recipe.target.cloud, places.cloud))
    return LoweringRequest(
        halves=halves,
        weights=recipe.weights,
        min_fidelity=recipe.gate.min_fidelity,
        samples=inputs.calibration,
        targets={
            side: ComputeTarget(side, device, asked.backend, bool(asked.options.get("sparse_weights", False)))
            for side, asked, device in sides
        },
        task=inputs.task,
    )


def check_gates(
    recipe: Recipe, folder: Path, chosen: plan.Plan, verification: evaluate.Verification
) -> list[evaluate.Gate]:
    """The recipe's limits; one that is absent makes no gate."""
    gate, edge_bytes = recipe.gate, model_bytes(folder / "edge")
    return [
        *evaluate.measured_gates(verification, gate),
        *evaluate.at_most("max_edge_bytes", edge_bytes, gate.max_edge_bytes, "size of edge/model.onnx"),
        *evaluate.at_most("max_edge_ms", chosen.best_cut.latency.edge_ms, gate.max_edge_ms, "cost model, not measured"),
    ]


def _fault(verification: evaluate.Verification, inputs: Inputs) -> str:
    """Why what was built is not the model, or nothing: the split is to blame, or the pass that changed the answers."""
    if verification.ok:
        return ""
    if verification.fault == evaluate.SPLIT_CHANGES:
        return f"the split model's answers are not those of the model that was cut. {passes.WHOSE_FAULT}"
    changed = first_change(inputs)
    return f"{verification.fault}: {changed} changes the model's answers. {passes.WHOSE_FAULT}"


def _nearest(recipe: Recipe, chosen: plan.Plan) -> str:
    """That ``auto`` found no cut which keeps the limits, and how near the best one came; or nothing."""
    if recipe.split.at != "auto" or not chosen.verdict.nearest:
        return ""
    tried = len({point.cut for point in chosen.points})
    return f"none of the {tried} cuts that were measured keeps the limits, nearest came {chosen.verdict.nearest}"


def _missed(
    inputs: Inputs,
    chosen: plan.Plan,
    gates: Sequence[evaluate.Gate],
    engines: Sequence[EngineRecord],
    verification: evaluate.Verification,
) -> list[str]:
    """Everything that forbids the bundle, one clause each; then how near the plan came, where anything does."""
    missed = [f"{g.name} is {g.value:.4g}, the limit is {g.limit:.4g} ({g.source})" for g in gates if not g.ok]
    missed += [f"the {e.side} engine failed: {e.reason}".rstrip(".") for e in engines if e.status == "failed"]
    missed += [fault] if (fault := _fault(verification, inputs)) else []
    return [*missed, nearest] if missed and (nearest := _nearest(inputs.recipe, chosen)) else missed


def _require(missed: Sequence[str], folder: Path, out: Path, summary: dict[str, Any]) -> None:
    """Keep what missed a gate aside, for looking at, and leave ``out`` alone."""
    if not missed:
        return
    named = out if out.name.strip(".") else out.resolve()  # "." and ".." have no name to add to
    rejected = named.with_name(f"{named.name}.rejected")
    try:
        with bundle.staging(rejected) as aside:
            shutil.copytree(folder, aside, dirs_exist_ok=True)
    except BundleError as error:
        raise CheckFailed(f"{'; '.join(missed)}. {out} is untouched; nothing was kept ({error})", summary) from error
    message = f"{'; '.join(missed)}. {out} is untouched; what was built stands at {rejected}."
    raise CheckFailed(message, summary | {"bundle": str(rejected)})
