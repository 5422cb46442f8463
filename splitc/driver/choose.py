"""Choose the cut: the recipe's own codec for a build, or every cut, codec and precision for a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from splitc import plan
from splitc.device import Precision
from splitc.driver.candidates import Candidates, own_option
from splitc.driver.coded_inputs import CodedInputs, sends_pixels
from splitc.driver.inputs import Inputs
from splitc.driver.precision import is_mixed
from splitc.types import Feeds


def choose(inputs: Inputs, step: Callable[[], None] = lambda: None) -> plan.Plan:
    """The cut asked for, or the best one, with the recipe's codec; the best candidates are coded for real.

    Raises:
        CutError: What was asked for is no cut, or nothing satisfies the constraints.
    """
    candidates = Candidates(inputs, step, in_float if is_mixed(inputs.recipe) else None)
    pixels = sends_pixels(inputs.recipe, candidates.measure_on)
    ask = plan.Ask(inputs.recipe.split, (own_option(inputs),), inputs.recipe.gate.min_fidelity, pixels)
    coded = CodedInputs(inputs, candidates)
    return plan.search(inputs.model, ask, inputs.places, candidates.measure, coded, candidates.measure_whole)


def in_float(model: ir.Model, precision: Precision, feeds: Sequence[Feeds]) -> ir.Model:
    """Where layers stay float as far as the limit needs, what is left to measure is what the cut and the codec cost."""
    return model
