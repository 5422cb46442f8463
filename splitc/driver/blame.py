"""Which pass changed the answers of a model that was prepared for its cut."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from splitc import evaluate, graph, passes
from splitc.driver.inputs import Inputs
from splitc.driver.recipes import codec_spec
from splitc.runtime import Samples
from splitc.types import Array, Feeds

MOST_SAMPLES = 8


def first_change(inputs: Inputs) -> str:
    """The pass after which the model's answers to verification samples differ most from those before it."""
    samples = Samples.of(inputs.reader, inputs.verification)[:MOST_SAMPLES]
    steps = passes.prepare_steps(in_graph=codec_spec(inputs.recipe).fits_graph)
    return most_changing(inputs.source.ir_model, steps, [sample.feeds for sample in samples])


def most_changing(model: ir.Model, steps: Sequence[passes.Pass], feeds: Sequence[Feeds]) -> str:
    """The one of ``steps``, applied one after the other, that moves answers furthest, with what it noted.

    Args:
        model: As loaded; left unchanged.
        steps: At least one.
        feeds: Samples of the model's inputs.
    """
    before = _answers(model, feeds)
    moved: dict[str, float] = {}
    for step in steps:
        result = passes.apply(step, model)
        after = _answers(graph.model_from_ir(result.model.clone()).ir_model, feeds)
        notes = f" ({'; '.join(result.notes)})" if result.notes else ""
        moved[f"pass {step.name!r}{notes}"] = _difference(before, after)
        model, before = result.model, after
    return max(moved, key=lambda name: moved[name])


def _answers(model: ir.Model, feeds: Sequence[Feeds]) -> list[dict[str, Array]]:
    runner = evaluate.open_graph(model)
    answers = [runner.run(one) for one in feeds]
    runner.close()
    return answers


def _difference(before: Sequence[Feeds], after: Sequence[Feeds]) -> float:
    pairs = zip(before, after, strict=True)
    return max((evaluate.distance(one[name], other.get(name)) for one, other in pairs for name in one), default=0.0)
