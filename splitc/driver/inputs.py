"""Everything a recipe names, found, opened and checked before the first long step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from splitc import graph, passes, plan, records, zoo
from splitc.backends import BACKENDS
from splitc.codec import ENTROPY_CODERS, PROFILES, QUANTIZERS, CodecSpec, with_profile
from splitc.device import Device, Link, device_names, load_device
from splitc.errors import GraphError, RecipeError, UsageError
from splitc.recipe import Recipe, TargetSection, hold_out, hold_out_end
from splitc.recipe import load_recipe as read_recipe
from splitc.registry import nearest
from splitc.runtime import Reader, Sample, files_sha256, find_files, is_picture, read_classes, read_labels
from splitc.types import Preprocess

THIS_MACHINE = "cpu"
"""Device profile of a side for which the recipe names none."""


@dataclass(frozen=True)
class Inputs:
    """Everything a recipe names, found and opened before the first long step."""

    recipe: Recipe
    source: graph.Model
    model: graph.Model
    notes: tuple[str, ...]
    reader: Reader
    calibration: list[Sample]
    verification: list[Path]
    data_sha256: str
    labels: Mapping[str, int]
    classes: list[str] | None
    places: plan.Places


def load_recipe(path: str | Path, overrides: Sequence[str] = (), base: Path | None = None) -> Recipe:
    """Read a recipe, knowing which components this version has.

    Args:
        path: The TOML file.
        overrides: ``key=value`` texts.
        base: Folder that relative paths refer to; by default the file's own.

    Raises:
        RecipeError: The file or its contents are wrong; one line a fault.
        CapabilityError: Something in it is not built in this version.
    """
    return read_recipe(
        path,
        overrides,
        base=base,
        quantizers=list(QUANTIZERS),
        entropy_coders=list(ENTROPY_CODERS),
        backends=list(BACKENDS),
        devices=device_names(),
        profiles={name: partial(with_profile, name) for name in PROFILES},
    )


def find_model(recipe: Recipe) -> tuple[graph.Model, graph.Model, plan.Places]:
    """The model as it is, the same prepared for the cut, and the places; no samples are needed.

    Raises:
        SplitcError: A file, package, device or profile is missing.
    """
    recipe = with_defaults(recipe)
    places = find_places(recipe)
    source = _load_source(recipe)
    prepared = passes.prepare(source.ir_model, in_graph=codec_spec(recipe).fits_graph)
    model = graph.model_from_ir(prepared.model)
    return source, model, with_layers(places, recipe, source, model)


Files: TypeAlias = tuple[list[Path], list[Path]]
"""To calibrate on, and to verify on."""


def find_inputs(recipe: Recipe, *, locked: bool = False, files_of: Callable[[Recipe], Files] | None = None) -> Inputs:
    """Load device profiles, find the files, open the model: cheap faults first.

    Args:
        recipe: Names everything.
        locked: Refuse inputs that the recipe does not pin by hash.
        files_of: Finds the samples; by default ``data_files``.

    Raises:
        RecipeError: No data to calibrate on, or a pin that does not hold.
        SplitcError: A file, package, device or backend is missing.
    """
    recipe = with_defaults(recipe)
    target, data = recipe.target, recipe.data
    places = find_places(recipe)
    for side in (target.edge, target.cloud):
        BACKENDS.make(side.backend, side.options)
    _check_clips(recipe)
    calibration, verification = (files_of or data_files)(recipe)
    labels = read_labels(recipe.resolve(data.labels)) if data.labels else {}
    source = _load_source(recipe)
    _check_task(recipe, source)
    classes = _classes(recipe)
    _refuse_idle_keys(recipe, source, calibration, classes)
    reader = Reader(source.inputs, _preprocess(recipe), data.crops)
    digest = files_sha256([*calibration, *verification])
    _check_pins(recipe, source.sha256, digest, locked=locked)
    prepared = passes.prepare(source.ir_model, in_graph=codec_spec(recipe).fits_graph)
    model = graph.model_from_ir(prepared.model)
    samples = list(reader.samples(calibration))
    places = with_layers(places, recipe, source, model)
    return Inputs(recipe, source, model, prepared.notes, reader, samples, verification, digest, labels, classes, places)


def find_places(recipe: Recipe) -> plan.Places:
    """Devices and link that the recipe names.

    Raises:
        UsageError: An unknown device, or a device file that is wrong.
    """
    link = recipe.link.model_dump(exclude={"trace"})
    edge, cloud = _device(recipe, recipe.target.edge), _device(recipe, recipe.target.cloud)
    return plan.Places(edge, cloud, Link.model_validate(link))


def with_layers(places: plan.Places, recipe: Recipe, source: graph.Model, model: graph.Model) -> plan.Places:
    """The same places with the measured layers of the profiles that the recipe names.

    Args:
        places: Devices and link.
        recipe: Names the profiles.
        source: The model that was measured.
        model: The same model prepared for the cut.

    Raises:
        UsageError: A profile that cannot be read, or that is of another model or device.
    """
    edge = _record(recipe, recipe.target.edge, places.edge, source)
    cloud = _record(recipe, recipe.target.cloud, places.cloud, source)
    return replace(
        places,
        edge=places.edge if edge is None else _with_power(places.edge, edge),
        edge_layers=_layers(edge, source, model),
        cloud_layers=_layers(cloud, source, model),
    )


def _layers(record: records.Record | None, source: graph.Model, model: graph.Model) -> plan.Layers:
    """Of the one element type that was measured."""
    return {} if record is None else {record.precision: _carried(records.layer_ms(record), source, model)}


def _record(recipe: Recipe, target: TargetSection, device: Device, source: graph.Model) -> records.Record | None:
    if target.profile is None:
        return None
    path = recipe.resolve(target.profile)
    record = records.read_record(path)
    refuse_another_model(path, record, source)
    if record.device != device.name:
        raise UsageError(
            f"{path}: was measured on {record.device!r}, the recipe's device is {device.name!r}; name that device, or "
            "profile this one."
        )
    if not record.layers:
        raise UsageError(f"{path}: has no layers, so it cannot price a part of the model; profile with layers.")
    return record


def _with_power(device: Device, record: records.Record) -> Device:
    """The device with the mean power that was measured, where the profile has the energy of an inference."""
    if not record.energy_mj:
        return device
    sources = device.sources | {"power_w": "measured: energy of an inference over its time, in the profile"}
    power_w = record.energy_mj / record.latency_ms.mean
    return Device.model_validate({**device.model_dump(), "power_w": power_w, "sources": sources})


def refuse_another_model(path: Path, record: records.Record, model: graph.Model) -> None:
    """Raises: UsageError: the profile was not measured on this model."""
    if record.model_sha256 != model.sha256:
        raise UsageError(
            f"{path}: is the profile of another model (sha256 {record.model_sha256[:12]}...); profile this one."
        )


def _carried(layers: Mapping[str, float], source: graph.Model, model: graph.Model) -> Mapping[str, float]:
    """Times of the source's nodes at the prepared model's; a node that preparation removed adds to the next one."""
    kept = {node.outputs[0].name for node in model.flow.nodes}
    carried: dict[str, float] = {}
    pending = 0.0
    for node in source.flow.nodes:
        name = node.outputs[0].name or ""
        pending += layers.get(name, 0.0)
        if name in kept:
            carried[name], pending = pending, 0.0
    if pending and carried:
        carried[next(reversed(carried))] += pending
    return carried


def plan_files(recipe: Recipe) -> Files:
    """The files of a build; but one alone is enough, since a plan verifies nothing.

    Raises:
        RecipeError: As ``data_files``.
        UsageError: A pattern names nothing.
    """
    if recipe.data.calibration and not recipe.data.verification:
        found = find_files(recipe.data.calibration, recipe.base)
        if len(found) == 1:
            return found, []
    return data_files(recipe)


def data_files(recipe: Recipe) -> Files:
    """Files to calibrate on and others to verify on; in order, where the codec predicts from frame to frame.

    Raises:
        RecipeError: None to calibrate on, none left to verify on, or a file in both.
        UsageError: A pattern names nothing.
    """
    data = recipe.data
    if not data.calibration:
        raise RecipeError("data.calibration: names no files; a codec is fitted on real samples, never on random ones.")
    calibration = find_files(data.calibration, recipe.base)
    if not data.verification:
        if len(calibration) < 2:
            raise RecipeError(
                "data.calibration: is one file, which cannot verify what it calibrated; name data.verification."
            )
        return hold_out_end(calibration) if predicts(recipe) else hold_out(calibration)
    verification = find_files(data.verification, recipe.base)
    both = {file.resolve() for file in calibration} & {file.resolve() for file in verification}
    if both:
        raise RecipeError(f"data.verification: {min(both).name} is among data.calibration too; verify on other files.")
    return calibration, verification


def codec_spec(recipe: Recipe) -> CodecSpec:
    """The recipe's [codec] as the codec room takes it."""
    return CodecSpec(**recipe.codec.model_dump(include=set(CodecSpec.model_fields)))


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with every option of its codec's components spelled, as the lock will hold it.

    Raises:
        UsageError: A value that they refuse, or an option that none of them has.
    """
    return recipe.model_copy(
        update={"codec": recipe.codec.model_copy(update=codec_spec(recipe).resolved().model_dump())}
    )


def predicts(recipe: Recipe) -> bool:
    """Whether samples are consecutive frames to the codec."""
    return recipe.codec.temporal != "none"


def _check_clips(recipe: Recipe) -> None:
    if predicts(recipe) and recipe.data.crops > 1:
        raise RecipeError("data.crops: crops are no consecutive frames, which codec.temporal predicts; leave it out.")


def _refuse_idle_keys(
    recipe: Recipe, source: graph.Model, calibration: Sequence[Path], classes: Sequence[str] | None
) -> None:
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
    spec = source.outputs[0]
    if recipe.data.classes and classes and spec.shape[-1:] != (len(classes),):
        raise RecipeError(
            f"data.classes: {len(classes)} names, output {spec.name!r} has shape {list(spec.shape)}; give one a class."
        )


def _device(recipe: Recipe, target: TargetSection) -> Device:
    name = target.device or THIS_MACHINE
    return load_device(str(recipe.resolve(name)) if name.endswith(".toml") else name)


def _load_source(recipe: Recipe) -> graph.Model:
    source = recipe.model.source
    path = zoo.fetch(source) if zoo.is_zoo(source) else recipe.resolve(source)
    return graph.load(path, recipe.model.shapes)


def _check_pins(recipe: Recipe, model_sha256: str, data_sha256: str, *, locked: bool) -> None:
    found = {"model.sha256": (recipe.model.sha256, model_sha256), "data.sha256": (recipe.data.sha256, data_sha256)}
    for key, (pinned, actual) in found.items():
        if pinned is None and locked:
            raise RecipeError(
                f"{key}: --locked builds only what is pinned; a bundle's recipe.lock.toml pins everything."
            )
        if pinned not in (None, actual):
            raise RecipeError(
                f"{key}: pinned as {pinned[:12]}..., found {actual[:12]}...; restore the file or the pin."
            )


def _check_task(recipe: Recipe, source: graph.Model) -> None:
    """Raises: GraphError: no output can be compared. RecipeError: the first is not one float score a class."""
    if not source.outputs:
        names = ", ".join(repr(value.name) for value in source.flow.outputs)
        raise GraphError(
            f"{recipe.model.source}: no output ({names}) is a tensor of known shape; export it with shapes."
        )
    first = source.outputs[0]
    scores = [size for size in first.shape[len(first.shape) > 1 :] if size != 1]  # behind the batch, without [C, 1, 1]
    has_classes = len(scores) == 1 and isinstance(scores[0], int) and first.dtype.startswith(("float", "bfloat"))
    if recipe.data.task == "classification" and not has_classes:
        raise RecipeError(
            'data.task: "classification" compares the largest score of each answer, so the first output must hold one '
            f"float score for each of a fixed number of classes; {first.name!r} is {first.dtype} {list(first.shape)}. "
            'Use data.task = "features" to compare outputs as they are.'
        )


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
