"""Choose the cut of a build, with the recipe's own codec."""

from __future__ import annotations

from collections.abc import Callable

from splitc import plan, trials
from splitc.device import Precision
from splitc.driver.inputs import Inputs, subject_of, usual_sizes
from splitc.driver.recipes import codec_spec
from splitc.lowering import is_mixed


def choose(inputs: Inputs, step: Callable[[], None] = lambda: None) -> plan.Plan:
    """The cut asked for, or the best one, with the recipe's codec; the best candidates are coded for real.

    Candidates compute in float: halves are lowered once, those of the chosen cut, and verification measures them.

    Raises:
        CutError: What was asked for is no cut, or nothing satisfies the constraints.
    """
    recipe, subject = inputs.recipe, subject_of(inputs)
    tried = trials.CutTrials(subject, step, lowers=False)
    sizes = usual_sizes(inputs)
    ask = plan.Ask(recipe.split, (_own_option(inputs),), recipe.gate.min_fidelity, subject.sends_pixels, sizes)
    keeps_limit = is_mixed(recipe.weights, recipe.gate.min_fidelity)

    def measure_whole(precision: Precision) -> plan.Measurement:
        is_known = precision == "fp32" or keeps_limit
        return tried.measure_whole(precision) if is_known else plan.unmeasured_whole(precision)

    coded = trials.InputTrials(subject, tried)
    return plan.search(inputs.model, ask, inputs.places, tried.measure, coded, measure_whole)


def _own_option(inputs: Inputs) -> plan.Option:
    """The recipe's codec and precisions."""
    weights = inputs.recipe.weights
    return plan.Option(codec_spec(inputs.recipe), weights.edge.precision, weights.cloud.precision)
