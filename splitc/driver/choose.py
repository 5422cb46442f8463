"""Choose the cut of a build, with the recipe's own codec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from splitc import plan, trials
from splitc.device import Precision
from splitc.driver.inputs import Inputs, subject_of
from splitc.driver.recipes import codec_spec
from splitc.driver.sizes import usual_sizes
from splitc.errors import CutError


def choose(inputs: Inputs, step: Callable[[], None] = lambda: None) -> plan.Plan:
    """The cut asked for, or the best one, with the recipe's codec; the best candidates are coded for real.

    Candidates compute in float: halves are lowered once, those of the chosen cut, and verification measures them.

    Raises:
        CutError: What was asked for is no cut, or nothing satisfies the constraints.
    """
    subject = subject_of(inputs)
    tried = trials.CutTrials(subject, step, lowers=False)
    ask = ask_of(inputs, subject, (_own_option(inputs),))
    has_limit = plan.has_limit(ask)

    def measure_whole(precision: Precision) -> plan.Measurement:
        """As candidates are: with a limit in float, or the way that keeps it would be refused as unmeasured."""
        is_known = precision == "fp32" or has_limit
        return tried.measure_whole(precision) if is_known else plan.unmeasured_whole(precision)

    coded = trials.InputTrials(subject, tried)
    chosen = plan.search(inputs.model, ask, inputs.places, tried.measure, coded, measure_whole)
    _refuse_waste(chosen, ask)
    return _with_arithmetic(chosen, ask)


def _with_arithmetic(chosen: plan.Plan, ask: plan.Ask) -> plan.Plan:
    """The verdict, which says where its fidelities are of another arithmetic than the build's."""
    asked = {one for option in ask.options for one in (option.edge_precision, option.cloud_precision)} - {"fp32"}
    if not asked:
        return chosen
    said = (
        f"Fidelities in this verdict are of float arithmetic; the verification measures {' and '.join(sorted(asked))}."
    )
    return replace(chosen, verdict=replace(chosen.verdict, warnings=(*chosen.verdict.warnings, said)))


def ask_of(inputs: Inputs, subject: trials.Subject, options: tuple[plan.Option, ...]) -> plan.Ask:
    """What the planner is asked for a recipe with samples: its limits are on the answers of the recipe's task."""
    recipe, comparison = inputs.recipe, subject.task.comparison()
    return plan.Ask(
        split=recipe.split,
        options=options,
        min_fidelity=recipe.gate.min_fidelity,
        sends_pixels=subject.sends_pixels,
        sizes=usual_sizes(inputs),
        max_divergence=getattr(recipe.gate, comparison.divergence_gate, None),
        divergence_unit=comparison.divergence_unit,
    )


def _refuse_waste(chosen: plan.Plan, ask: plan.Ask) -> None:
    """Raises: CutError: ``auto`` found only cuts that send more than the input itself."""
    best = chosen.best_cut
    if ask.split.at == "auto" and best.refused and best.payload_bytes > chosen.input_bytes:
        raise CutError(
            f"split.at = 'auto': no cut sends fewer bytes than the input itself; the nearest is {best.name}: "
            f"{best.refused}. Run the whole model in the cloud, keep a part on the edge with split.min_depth or "
            "split.pin_edge, or name the cut in split.at."
        )


def _own_option(inputs: Inputs) -> plan.Option:
    """The recipe's codec and precisions."""
    weights = inputs.recipe.weights
    return plan.Option(codec_spec(inputs.recipe), weights.edge.precision, weights.cloud.precision)
