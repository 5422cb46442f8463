"""Bring each half to the precision that the recipe asks for, on what the half will see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from splitc import evaluate, graph, passes
from splitc.driver.inputs import Inputs
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
    """

    halves: graph.Halves
    notes: tuple[str, ...] = ()


def precisions(recipe: Recipe) -> dict[str, str]:
    """Side -> fp32, fp16 or int8."""
    return {"edge": recipe.weights.edge.precision, "cloud": recipe.weights.cloud.precision}


def lower(inputs: Inputs, halves: graph.Halves) -> Lowered:
    """Lower the head on the calibration samples, then the tail on what the lowered head makes of them.

    Raises:
        GraphError: A half cannot be lowered.
    """
    asked = precisions(inputs.recipe)
    samples: list[Feeds] = [sample.feeds for sample in inputs.calibration[:: _stride(len(inputs.calibration))]]
    notes: list[str] = []
    for side, field in (("edge", "head"), ("cloud", "tail")):
        if asked[side] == "fp32":
            continue
        feeds = samples if side == "edge" else _features(halves, samples)
        result = passes.LOWER[asked[side]](feeds)(getattr(halves, field))
        halves = replace(halves, **{field: result.model})
        notes += [f"{side}: {note}" for note in result.notes]
    return Lowered(halves, tuple(notes))


def _stride(count: int) -> int:
    return max(1, -(-count // MOST_SAMPLES))


def _features(halves: graph.Halves, samples: list[Feeds]) -> list[Feeds]:
    head = evaluate.open_graph(halves.head)
    return [head.run(feeds) for feeds in samples]
