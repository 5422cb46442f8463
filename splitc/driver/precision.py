"""Bring each half to the weights and the precision that the recipe asks for, on what the half will see."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from splitc import evaluate, graph
from splitc.driver.fewer_weights import Saving, apply_steps
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
        savings: What each step was worth.
    """

    halves: graph.Halves
    notes: tuple[str, ...] = ()
    savings: tuple[Saving, ...] = ()


def precisions(recipe: Recipe) -> dict[str, str]:
    """Side -> fp32, fp16 or int8."""
    return {"edge": recipe.weights.edge.precision, "cloud": recipe.weights.cloud.precision}


def lower(inputs: Inputs, halves: graph.Halves) -> Lowered:
    """Prune, share and lower the head on the calibration samples, then the tail on what that head makes of them.

    Raises:
        GraphError: A half cannot be lowered.
    """
    asked = inputs.recipe.weights
    samples: list[Feeds] = [sample.feeds for sample in inputs.calibration[:: _stride(len(inputs.calibration))]]
    head, notes, savings = apply_steps("edge", halves.head, asked.edge, lambda: samples)
    tail, more, others = apply_steps("cloud", halves.tail, asked.cloud, lambda: _features(head, samples))
    lowered = replace(halves, head=head, tail=tail)
    return Lowered(lowered, (*notes, *more), (*savings, *others))


def _stride(count: int) -> int:
    return max(1, -(-count // MOST_SAMPLES))


def _features(head: ir.Model, samples: list[Feeds]) -> list[Feeds]:
    runner = evaluate.open_graph(head)
    return [runner.run(feeds) for feeds in samples]
