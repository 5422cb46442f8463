"""Bring each half to the weights and the precision that the recipe asks for, on what the half will see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from splitc import evaluate, graph, passes
from splitc.driver.fewer_weights import Half, Saving, apply_steps, count_steps, with_floats
from splitc.driver.inputs import Inputs
from splitc.driver.mixed_precision import LayerPrecision, Mixed, Pair, mix, parted
from splitc.driver.time_claims import Target
from splitc.recipe import Recipe
from splitc.types import Feeds

MOST_SAMPLES = 128
"""Samples that ranges are taken from; more hardly move a percentile and take memory."""


@dataclass(frozen=True)
class Lowered:
    """The halves as they shall compute.

    Attributes:
        halves: Equal to the float ones where both sides keep fp32.
        notes: What was done; empty where nothing was.
        savings: What each step was worth.
        layers: Where precision is mixed, what became of each quantized layer, the most sensitive first.
    """

    halves: graph.Halves
    notes: tuple[str, ...] = ()
    savings: tuple[Saving, ...] = ()
    layers: tuple[LayerPrecision, ...] = ()


def precisions(recipe: Recipe) -> dict[str, str]:
    """Side -> fp32, fp16 or int8."""
    return {"edge": recipe.weights.edge.precision, "cloud": recipe.weights.cloud.precision}


def is_mixed(recipe: Recipe) -> bool:
    """Whether layers of an INT8 half stay float as far as a limit needs."""
    return recipe.gate.min_fidelity is not None and "int8" in precisions(recipe).values()


def lower(inputs: Inputs, halves: graph.Halves, step: Callable[[], None] = lambda: None) -> Lowered:
    """Prune, share and lower the head on the calibration samples, then the tail on what that head makes of them.

    Where the recipe has a ``min_fidelity`` and a half computes in INT8, layers stay float as far as that needs.
    ``step`` is called as often as :func:`count_lowering` says.

    Raises:
        GraphError: A half cannot be lowered.
    """
    asked, least = inputs.recipe.weights, inputs.recipe.gate.min_fidelity
    every: list[Feeds] = [sample.feeds for sample in inputs.calibration]
    samples, held = (
        parted(every, MOST_SAMPLES) if is_mixed(inputs.recipe) else (every[:: _stride(len(every))], list[Feeds]())
    )
    places = {side: _target(inputs, side) for side in ("edge", "cloud")}
    head = Half("edge", halves.head, lambda: samples, places["edge"], halves.tail)
    edge = apply_steps(head, asked.edge, step)
    tail = Half("cloud", halves.tail, lambda: _features(edge.model, samples), places["cloud"])
    cloud = apply_steps(tail, asked.cloud, step)
    lowered = replace(halves, head=edge.model, tail=cloud.model)
    notes, savings = (*edge.notes, *cloud.notes), (*edge.savings, *cloud.savings)
    originals = {side: half.original for side, half in (("edge", edge), ("cloud", cloud)) if half.original is not None}
    if least is None or not originals:
        return Lowered(lowered, notes, savings)
    mixed = mix(Pair(halves, lowered, originals, held, samples, inputs.recipe.data.task), least, step)
    return Lowered(mixed.halves, (*notes, *mixed.notes), _after_mixing(savings, mixed, places), mixed.layers)


def _after_mixing(savings: Sequence[Saving], mixed: Mixed, places: Mapping[str, Target]) -> tuple[Saving, ...]:
    """The steps to INT8 with what they came to once layers were lifted; all others as they are."""
    after = {"edge": mixed.halves.head, "cloud": mixed.halves.tail}
    kept = {side: [one.precision for one in mixed.layers if one.side == side] for side in after}
    return tuple(
        with_floats(one, after[one.side], kept[one.side].count("fp32"), len(kept[one.side]), places[one.side])
        if one.step == "int8" and kept[one.side]
        else one
        for one in savings
    )


def _target(inputs: Inputs, side: str) -> Target:
    asked, device = getattr(inputs.recipe.target, side), getattr(inputs.places, side)
    return Target(side, device, asked.backend, bool(asked.options.get("sparse_weights", False)))


def count_lowering(inputs: Inputs, halves: graph.Halves) -> int:
    """Steps of :func:`lower`; 0 where nothing is asked for."""
    asked = inputs.recipe.weights
    sides = ((halves.head, asked.edge), (halves.tail, asked.cloud))
    judged = sum(len(passes.layers_of(model)) for model, one in sides if one.precision == "int8")
    return judged * is_mixed(inputs.recipe) + sum(count_steps(model, one) for model, one in sides)


def _stride(count: int) -> int:
    return max(1, -(-count // MOST_SAMPLES))


def _features(head: ir.Model, samples: list[Feeds]) -> list[Feeds]:
    runner = evaluate.open_graph(head)
    return [runner.run(feeds) for feeds in samples]
