"""The task of a recipe: bound to the model's outputs, checked against the recipe, settled on a few real answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitc import evaluate, graph, passes
from splitc.errors import CheckFailed, GraphError, RecipeError
from splitc.recipe import Recipe
from splitc.runtime import Sample, files_sha256
from splitc.tasks import TASKS, BindRequest, BoundTask, LabelTable, names_beside, read_classes
from splitc.types import Array, Feeds

EXAMPLES = 8
"""Answers of the unsplit model that tell what shapes leave open."""


@dataclass(frozen=True)
class KnownAnswers:
    """What answers are, and what is known of them before the model runs.

    Attributes:
        bound: The task, as far as shapes tell.
        labels: What is known about samples; empty without labels.
        labels_sha256: Of the files that say it; empty without labels.
        classes: Names of the classes, where known.
        notes: Where the names are from, if the recipe does not say it.
    """

    bound: BoundTask
    labels: LabelTable
    labels_sha256: str
    classes: Sequence[str] | None
    notes: tuple[str, ...] = ()


def network_of(model: graph.Model, classes: Sequence[str] | None) -> BindRequest:
    """What a task is bound to."""
    return BindRequest(model.outputs, model.inputs, classes)


def bind_task(recipe: Recipe, model: graph.Model, classes: Sequence[str] | None) -> BoundTask:
    """The recipe's task on the unsplit model's outputs; what shapes leave open is still open.

    Raises:
        GraphError: The model gives no tensor of known shape.
        RecipeError: The outputs are no such answers, or a name or limit in the recipe does not go with them.
    """
    if not model.outputs:
        names = ", ".join(repr(value.name) for value in model.flow.outputs)
        raise GraphError(
            f"{recipe.model.source}: no output ({names}) is a tensor of known shape; export it with shapes."
        )
    bound = TASKS.make(recipe.data.task, recipe.data.task_options).bind(network_of(model, classes))
    _check_names(recipe, model, bound)
    _check_gates(recipe, bound)
    return bound


def _check_names(recipe: Recipe, model: graph.Model, bound: BoundTask) -> None:
    """Names that the recipe spells are as many as there are classes."""
    if recipe.data.classes is None or bound.classes is None or not bound.name_counts:
        return
    if len(bound.classes) not in bound.name_counts:
        spec = next(spec for spec in model.outputs if spec.name == bound.reads[0])
        raise RecipeError(
            f"data.classes: {len(bound.classes)} names, output {spec.name!r} has shape {list(spec.shape)}; "
            "give one a class."
        )


def _check_gates(recipe: Recipe, bound: BoundTask) -> None:
    """Limits are of what the task measures."""
    asked = [name for name in ("min_fidelity", *evaluate.ANSWER_GATES) if getattr(recipe.gate, name) is not None]
    for name in asked:
        if name not in bound.gates:
            raise RecipeError(
                f"gate.{name}: the task {recipe.data.task!r} measures no such thing; it has {', '.join(bound.gates)}."
            )
        if name.endswith("_drop") and recipe.data.labels is None:
            raise RecipeError(f"gate.{name}: a drop is against labels; give data.labels, or leave the gate out.")
    if recipe.gate.confidence is not None and not asked:
        raise RecipeError("gate.confidence: no other gate is a measure of answers; add min_fidelity, or leave it out.")


def find_answers(recipe: Recipe, model: graph.Model, classes: Sequence[str] | None) -> KnownAnswers:
    """The recipe's task and labels.

    Raises:
        GraphError, RecipeError: As :func:`bind_task`.
        UsageError: Labels that are not there, or of no format of the task.
        CapabilityError: Judging by such labels needs an extra that is not installed.
    """
    if recipe.data.labels is None:
        return KnownAnswers(bind_task(recipe, model, classes), LabelTable({}), "", classes)
    path = recipe.resolve(recipe.data.labels)
    if classes is None and (beside := names_beside(path)) is not None and recipe.data.task == "detection":
        bound, notes = _bound_by_names_beside(recipe, model, beside)
        classes = bound.classes
    else:
        bound, notes = bind_task(recipe, model, classes), ()
    return KnownAnswers(bound, bound.labels(path), files_sha256(_files_of(path)), classes, notes)


def _bound_by_names_beside(recipe: Recipe, model: graph.Model, file: Path) -> tuple[BoundTask, tuple[str, ...]]:
    """The task with the names that lie beside its labels where they are as many as there are classes; and a note."""
    names = read_classes(file)
    try:
        return bind_task(recipe, model, names or None), (
            f"names of the {len(names)} classes: {file.name} beside data.labels",
        )
    except RecipeError as error:
        bound = bind_task(recipe, model, None)  # raises whatever is not due to the names
        why = str(error).rstrip(".")
        return bound, (
            f"{file.name} beside data.labels does not name the network's classes, so numbers stand for them: {why}",
        )


def settle_task(bound: BoundTask, model: graph.Model, samples: Sequence[Sample]) -> BoundTask:
    """Decide by answers of the unsplit model to a few samples what shapes leave open.

    Raises:
        CheckFailed: None of the answers is finite.
        RecipeError: The answers contradict the recipe.
    """
    if bound.is_settled:
        return bound
    run, examples = evaluate.open_optimized(model.ir_model).run, list[Mapping[str, Array]]()
    for sample in samples[:EXAMPLES]:
        examples.append(run(sample.feeds))
    if not any(evaluate.all_finite(outputs, bound.reads) for outputs in examples):
        raise CheckFailed(
            "an answer of stage 'full' holds NaN or infinities, which cannot be compared"
            f"{_first_fault(model, samples[0].feeds)}."
        )
    return bound.settle([dict(outputs) for outputs in examples])


def _first_fault(model: graph.Model, feeds: Feeds) -> str:
    fault = passes.first_not_finite(model.ir_model, feeds)
    return "" if fault is None else f"; {fault}"


def said_files(recipe: Recipe) -> list[Path]:
    """Files that say what is known of the answers: labels, and names of classes."""
    labels = [] if recipe.data.labels is None else _files_of(recipe.resolve(recipe.data.labels))
    return labels if recipe.data.classes is None else [*labels, recipe.resolve(recipe.data.classes)]


def _files_of(path: Path) -> list[Path]:
    """Files of labels, and what names their classes."""
    found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    beside = names_beside(path)
    return found if beside is None or beside in found else [*found, beside]
