"""Everything a recipe names, found, opened and checked before the first long step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from splitc import graph, passes, plan, trials, zoo
from splitc.backends import BACKENDS
from splitc.cache import Key, StepCache, default_cache, key_of
from splitc.driver.answers import KnownAnswers, find_answers, said_files, settle_task
from splitc.driver.data import Files, data_files, training_files
from splitc.driver.kept_names import with_kept_names
from splitc.driver.keys import data_key, model_key, other_code, task_key
from splitc.driver.pixels import preprocess_notes, with_preprocess
from splitc.driver.places import find_places, with_layers
from splitc.driver.recipes import codec_spec, predicts, with_defaults
from splitc.driver.recovery_options import check_recovery
from splitc.driver.split_keep import kept_notes, with_kept
from splitc.driver.told_shapes import load_with_told
from splitc.errors import RecipeError, UsageError
from splitc.files import Snapshot
from splitc.recipe import Recipe
from splitc.registry import nearest
from splitc.runtime import Reader, Samples, files_sha256, is_picture, is_video
from splitc.tasks import BoundTask, read_classes
from splitc.types import Preprocess


@dataclass(frozen=True)
class OpenModel:
    """A model file, and what is cut.

    Attributes:
        source: As it is; with preprocessing in front where the recipe puts it into the graph.
        model: Prepared for the cut.
        notes: What preparing did.
    """

    source: graph.Model
    model: graph.Model
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Inputs:
    """Everything a recipe names, found and opened before the first long step.

    Attributes:
        recipe: With every default spelled.
        opened: The model.
        reader: Turns files into samples.
        calibration: Samples to fit on; they are read when they are asked for.
        verification: Files to verify on.
        training: Samples to train on; none where nothing is trained.
        data_sha256: Of the files to calibrate and to verify on.
        training_sha256: Of the files to train on; None where they are those to calibrate on, or none.
        answers: What answers are, and what is known of them.
        places: Devices and link.
        cache: Where results of steps are kept.
        snapshot: Of the files of the model, the samples, labels and names of classes, from before they were read.
    """

    recipe: Recipe
    opened: OpenModel
    reader: Reader
    calibration: Samples
    verification: list[Path]
    training: Samples
    data_sha256: str
    training_sha256: str | None
    answers: KnownAnswers
    places: plan.Places
    cache: StepCache
    snapshot: Snapshot

    def require_unchanged(self) -> None:
        """Raises: UsageError: A file is no longer what was hashed."""
        _refuse_changed(self.snapshot)

    @property
    def source(self) -> graph.Model:
        """The model as it was read."""
        return self.opened.source

    @property
    def model(self) -> graph.Model:
        """The model prepared for the cut."""
        return self.opened.model

    @property
    def notes(self) -> tuple[str, ...]:
        """What preparing did, where names of classes are from, and what reading does to the samples."""
        return (*self.opened.notes, *self.answers.notes, *self.remarks)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What reading the samples does that their owner may not expect; headers are read."""
        return tuple(self.reader.remarks([*self.calibration.files, *self.verification]))

    @cached_property
    def task(self) -> BoundTask:
        """What the answers are, told by the unsplit model's outputs for a few samples."""
        return settle_task(self.answers.bound, self.source, self.calibration)

    @cached_property
    def model_key(self) -> Key:
        """Of the prepared model."""
        in_graph = codec_spec(self.recipe).fits_graph
        return model_key(self.recipe, self.source, self.reader.preprocess, in_graph=in_graph)

    @cached_property
    def data_key(self) -> Key:
        """Of all samples."""
        return data_key(self.data_sha256, self.calibration.files, self.verification, self.reader)


def find_model(recipe: Recipe) -> tuple[OpenModel, plan.Places]:
    """The model and the places; no samples are needed.

    Raises:
        SplitcError: A file, package, device or profile is missing.
    """
    recipe = with_defaults(recipe)
    places = find_places(recipe)
    opened = _prepared(recipe, _load_source(recipe))
    return opened, with_layers(places, recipe, opened.source, opened.model)


def find_inputs(
    recipe: Recipe,
    *,
    locked: bool = False,
    files_of: Callable[[Recipe], Files] = data_files,
    cache: StepCache | None = None,
) -> Inputs:
    """Load device profiles, find the files, open the model: cheap faults first.

    ``locked`` refuses inputs that are not pinned by hash. ``cache`` keeps results of steps; None: the user's own.

    Raises:
        RecipeError: No data to calibrate on, or a pin that does not hold.
        CutError: What ``split.at`` names is no cut, or not one that the codec takes.
        SplitcError: A file, package, device or backend is missing.
    """
    recipe = _complete(recipe)
    places = find_places(recipe)
    calibration, verification = files_of(recipe)
    training = training_files(recipe, calibration, verification)
    recipe, source, snapshot, told = _load_with_snapshot(recipe, calibration, [*verification, *training])
    answers = find_answers(recipe, source, _classes(recipe))
    _refuse_idle_keys(recipe, source, calibration)
    digest, trained = _pinned(recipe, source.sha256, calibration + verification, training, locked=locked)
    recipe, opened = _checked_model(recipe, source, told)
    reader = Reader(source.inputs, _preprocess(recipe), recipe.data.crops)
    return Inputs(
        recipe=recipe,
        opened=opened,
        reader=reader,
        calibration=Samples.of(reader, calibration),
        verification=verification,
        training=Samples.of(reader, training),
        data_sha256=digest,
        training_sha256=trained,
        answers=answers,
        places=with_layers(places, recipe, source, opened.model),
        cache=replace(default_cache() if cache is None else cache, require_inputs=partial(_refuse_changed, snapshot)),
        snapshot=snapshot,
    )


def _refuse_changed(snapshot: Snapshot) -> None:
    """Raises: UsageError: A file was written since; half of a build would be of it, half of what it was."""
    if (file := snapshot.changed()) is not None:
        raise UsageError(f"{file}: changed while it was used; run the command again when the file is complete.")


def subject_of(inputs: Inputs) -> trials.Subject:
    """What trials need of the inputs."""
    is_stream = predicts(inputs.recipe)
    return trials.Subject(
        model=inputs.model,
        samples=inputs.calibration,
        labels=inputs.answers.labels,
        task=inputs.task,
        preprocess=inputs.reader.preprocess,
        is_stream=is_stream,
        sends_pixels=_sends_pixels(inputs.recipe, inputs.calibration.files),
        split=inputs.recipe.split,
        cache=inputs.cache,
        key=key_of(
            model=inputs.model_key,
            data=inputs.data_key,
            labels=inputs.answers.labels_sha256,
            code=other_code(),
            task=task_key(inputs.task),
            is_stream=is_stream,
            axes=[inputs.recipe.split.batch_axis, inputs.recipe.split.channel_axis],
        ),
    )


def _sends_pixels(recipe: Recipe, files: Sequence[Path]) -> bool:
    """Whether the samples are known as 8-bit pixels: pictures, videos, or arrays whose pixels the recipe explains."""
    if recipe.data.preprocess is not None:
        return True
    return all(is_picture(file) or is_video(file) for file in files)


def _checked_model(recipe: Recipe, source: graph.Model, told: Sequence[str]) -> tuple[Recipe, OpenModel]:
    """The prepared model, which can be cut where the recipe says, and the recipe in that model's names."""
    opened = _prepared(recipe, source)
    recipe, notes = with_kept_names(recipe, source, opened.model)
    plan.check_asked(opened.model, [codec_spec(recipe)], recipe.split)
    return recipe, replace(opened, notes=(*told, *opened.notes, *notes))


def _prepared(recipe: Recipe, source: graph.Model) -> OpenModel:
    prepared = passes.prepare(source.ir_model, in_graph=codec_spec(recipe).fits_graph)
    notes = (*preprocess_notes(source, _preprocess(recipe)), *prepared.notes)
    model = with_kept(graph.model_from_ir(prepared.model), recipe.split.keep)
    return OpenModel(source, model, (*notes, *kept_notes(model)))


def _complete(recipe: Recipe) -> Recipe:
    recipe = with_defaults(recipe)
    check_recovery(recipe)
    for side in (recipe.target.edge, recipe.target.cloud):
        BACKENDS.make(side.backend, side.options)
    if predicts(recipe) and recipe.data.crops > 1:
        raise RecipeError("data.crops: crops are no consecutive frames, which codec.temporal predicts; leave it out.")
    return recipe


def _refuse_idle_keys(recipe: Recipe, source: graph.Model, calibration: Sequence[Path]) -> None:
    """A key that changes nothing here is a misunderstanding, not a preference."""
    dims = {str(dim) for spec in source.inputs for dim in spec.shape if isinstance(dim, str)}
    idle = sorted(recipe.model.dims.keys() - dims)
    if idle:
        raise RecipeError(
            f"model.dims.{idle[0]}: no input has a dimension of that name.{nearest(idle[0], sorted(dims))}"
        )
    if recipe.data.crops > 1 and not any(map(is_picture, calibration)):
        raise RecipeError("data.crops: arrays are taken as they are, only pictures are cropped; leave it out.")
    for side, target in (("edge", recipe.target.edge), ("cloud", recipe.target.cloud)):
        if target.compute_capabilities and not BACKENDS.load(target.backend).is_for_gpu:
            raise RecipeError(
                f"target.{side}.compute_capabilities: backend {target.backend!r} builds for no GPU; leave it out."
            )


def _source_path(recipe: Recipe) -> Path:
    source = recipe.model.source
    return zoo.fetch(source) if zoo.is_zoo(source) else recipe.resolve(source)


def _load_source(recipe: Recipe) -> graph.Model:
    return with_preprocess(graph.load(_source_path(recipe), recipe.model.shapes), _preprocess(recipe))


def _load_with_snapshot(
    recipe: Recipe, samples: Sequence[Path], others: Sequence[Path]
) -> tuple[Recipe, graph.Model, Snapshot, tuple[str, ...]]:
    """See ``load_with_told``; and what all files were like before any of them was read or hashed."""
    before = Snapshot.of([_source_path(recipe), *samples, *others, *said_files(recipe)])
    recipe, source, told = load_with_told(recipe, samples, _load_source)
    return recipe, source, before | Snapshot.of(source.external), told


def _pinned(
    recipe: Recipe, model_sha256: str, samples: Sequence[Path], training: Sequence[Path], *, locked: bool
) -> tuple[str, str | None]:
    """Hashes of the samples and of what is trained on (None: nothing of its own), which hold what the recipe pins."""
    recovery = recipe.recovery
    digest = files_sha256(samples)
    _check_pin("model.sha256", recipe.model.sha256, model_sha256, locked=locked)
    _check_pin("data.sha256", recipe.data.sha256, digest, locked=locked)
    if recovery is None or not recovery.data:
        return digest, None
    trained = files_sha256(training)
    _check_pin("recovery.sha256", recovery.sha256, trained, locked=locked)
    return digest, trained


def _check_pin(key: str, pinned: str | None, actual: str, *, locked: bool) -> None:
    if pinned is None and locked:
        raise RecipeError(f"{key}: --locked builds only what is pinned; a bundle's recipe.lock.toml pins everything.")
    if pinned not in (None, actual):
        raise RecipeError(f"{key}: pinned as {pinned[:12]}..., found {actual[:12]}...; restore the file or the pin.")


def _preprocess(recipe: Recipe) -> Preprocess:
    if recipe.data.preprocess is not None:
        return recipe.data.preprocess
    source = recipe.model.source
    return zoo.preprocess(source) if zoo.is_zoo(source) else Preprocess()


def _classes(recipe: Recipe) -> list[str] | None:
    if recipe.data.classes is not None:
        return read_classes(recipe.resolve(recipe.data.classes))
    source = recipe.model.source
    return zoo.class_names(source) if zoo.is_zoo(source) else None
