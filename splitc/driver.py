"""The driver: recipe in, bundle out. Reads as a table of contents; every step lives in its own room."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from splitc import __version__, bundle, evaluate, graph, passes, plan, report, zoo
from splitc.backends import BACKENDS, EngineRecord, Side, Target
from splitc.codec import ENTROPY_CODERS, PROFILES, QUANTIZERS, Codec, CodecSpec, mean_packet_bytes
from splitc.device import Device, Link, device_names, load_device
from splitc.errors import BundleError, CapabilityError, CheckFailed, GraphError, RecipeError, UsageError
from splitc.recipe import Recipe, TargetSection, hold_out, hold_out_end, lock_toml
from splitc.recipe import load_recipe as read_recipe
from splitc.registry import nearest
from splitc.runtime import Reader, Sample, find_files, is_picture, read_classes, read_labels
from splitc.types import F32, Preprocess

PLAN_SAMPLES = 32
"""Calibration samples that measure a candidate cut: half fit the codec, half are coded."""
GPU_BACKENDS = ("tensorrt", "tensorrt_rtx")
THIS_MACHINE = "cpu"
"""Device profile of a side for which the recipe names none."""
DEFAULT_DIM = (1, 1, 8)
"""Least, usual and largest size of a dynamic dimension that the recipe says nothing of."""
TOOLS = ("numpy", "onnx", "onnx-ir", "onnxruntime", "pillow", "zstandard")
"""Packages whose version can change a bundle's bytes."""


class Watch(Protocol):
    """Shows progress, one stage at a time."""

    def start(self, title: str, total: int | None) -> None:
        """A stage begins, of ``total`` steps where that is known."""

    def step(self) -> None:
        """One step is done."""

    def finish(self, seconds: float) -> None:
        """The stage is over, well or not."""


@dataclass
class Stages:
    """Names and times the stages of a build."""

    watch: Watch | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        began = time.perf_counter()
        if self.watch:
            self.watch.start(title, total)
        try:
            yield self.watch.step if self.watch else lambda: None
        finally:
            self.seconds[title] = time.perf_counter() - began
            if self.watch:
                self.watch.finish(self.seconds[title])


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


@dataclass(frozen=True)
class Pair:
    """The two graphs as they stand in the bundle, and what they agreed on."""

    halves: graph.Halves
    codec: Codec
    bundle: bundle.Bundle
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Built:
    """A finished build: where it stands, and what ``build --json`` prints."""

    path: Path
    document: dict[str, Any]


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
        profiles={name: spec.model_dump(exclude_defaults=True) for name, spec in PROFILES.items()},
    )


def build(recipe: Recipe, out: Path, watch: Watch | None = None, *, locked: bool = False) -> Built:
    """Everything: plan, split, fit, insert, compile, verify, report, seal.

    Args:
        recipe: What to build.
        out: Folder of the bundle; an earlier bundle there is replaced when all gates hold.
        watch: Shows progress.
        locked: Refuse inputs that the recipe does not pin by hash.

    Raises:
        CheckFailed: A gate is missed or an engine failed. What was built stands at ``out`` + ".rejected", and ``out``
            is untouched.
        SplitcError: The recipe, an input or this machine is at fault; nothing is written.
    """
    stages = Stages(watch)
    with bundle.staging(out) as folder:
        with stages("load"):
            inputs = find_inputs(recipe, locked=locked)
        with stages("plan") as step:
            chosen = choose(inputs, step)
        with stages("calibrate", len(inputs.calibration)) as step:
            halves = graph.split(inputs.model, chosen.chosen.cut)
            codec = _fit(inputs, halves, step)
        with stages("write"):
            pair = write_pair(folder, inputs, halves, codec)
        with stages("engines", 2) as step:
            engines = build_engines(folder, inputs, step)
        with stages("verify", len(inputs.verification) * inputs.reader.regions) as step:
            whole = inputs.source.ir_model
            paths = evaluate.make_paths("the unsplit model", whole, halves.head, halves.tail, pair.bundle, engines)
            verification = evaluate.verify(paths, inputs.reader.samples(inputs.verification), inputs.labels, step)
        with stages("report"):
            gates = check_gates(recipe, folder, chosen, verification)
            examples = evaluate.examples(paths, inputs.reader, inputs.verification)
            document = _facts(inputs, chosen, pair, folder) | report.outcome(verification, gates, engines, examples)
            write_reports(folder, document, verification)
            seal(folder, inputs)
        summary = report.summary(document) | {"bundle": str(out), "seconds": stages.seconds}
        _require(verification, gates, engines, folder, out, summary)
    return Built(out, summary)


def find_inputs(recipe: Recipe, *, locked: bool = False) -> Inputs:
    """Load device profiles, find the files, open the model: cheap faults first.

    Raises:
        RecipeError: No data to calibrate on, or a pin that does not hold.
        SplitcError: A file, package, device or backend is missing.
    """
    recipe = with_defaults(recipe)
    target, data = recipe.target, recipe.data
    places = plan.Places(
        edge=_device(recipe, target.edge),
        cloud=_device(recipe, target.cloud),
        link=Link(uplink_mbps=recipe.link.uplink_mbps, rtt_ms=recipe.link.rtt_ms),
    )
    for side in (target.edge, target.cloud):
        BACKENDS.make(side.backend, {})
    _check_clips(recipe)
    calibration, verification = data_files(recipe)
    labels = read_labels(recipe.resolve(data.labels)) if data.labels else {}
    source = _load_source(recipe)
    _check_task(recipe, source)
    _refuse_idle_keys(recipe, source, calibration)
    reader = Reader(source.inputs, _preprocess(recipe), data.crops)
    digest = _files_sha256([*calibration, *verification])
    _check_pins(recipe, source.sha256, digest, locked=locked)
    model, notes = _prepare(source, in_graph=codec_spec(recipe).fits_graph)
    samples = list(reader.samples(calibration))
    return Inputs(recipe, source, model, notes, reader, samples, verification, digest, labels, _classes(recipe), places)


def data_files(recipe: Recipe) -> tuple[list[Path], list[Path]]:
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
        return hold_out_end(calibration) if _predicts(recipe) else hold_out(calibration)
    verification = find_files(data.verification, recipe.base)
    both = {file.resolve() for file in calibration} & {file.resolve() for file in verification}
    if both:
        raise RecipeError(f"data.verification: {min(both).name} is among data.calibration too; verify on other files.")
    return calibration, verification


def choose(inputs: Inputs, step: Callable[[], None] = lambda: None) -> plan.Plan:
    """The cut asked for, or the best one; the best candidates are coded for real.

    Raises:
        CutError: What was asked for is no cut, or nothing satisfies the constraints.
    """
    fit_on, measure_on = _plan_samples(inputs)
    spec = codec_spec(inputs.recipe)

    def measure(cut: graph.CandidateCut) -> float:
        halves = graph.split(inputs.model, cut.names)
        fitted = Codec.fit(spec, halves.cut, features(halves, fit_on), sequence_lengths(fit_on))
        step()
        return mean_packet_bytes(fitted, features(halves, measure_on))

    return plan.search(inputs.model, inputs.recipe.split, inputs.recipe.codec, inputs.places, measure)


def _plan_samples(inputs: Inputs) -> tuple[list[Sample], list[Sample]]:
    """Calibration samples that fit a candidate's codec, and others that are coded."""
    every = inputs.calibration
    if _predicts(inputs.recipe):
        some = every[:PLAN_SAMPLES]
        half = max(2, len(some) // 2)
        return some[:half], some[half:] or some
    some = every[:: max(1, len(every) // PLAN_SAMPLES)][:PLAN_SAMPLES]
    return some[::2], some[1::2] or some


def sequence_lengths(samples: Sequence[Sample]) -> list[int]:
    """How many samples in a row are consecutive frames, clip by clip."""
    return [len(list(clip)) for _, clip in groupby(samples, key=lambda sample: sample.clip)]


def features(halves: graph.Halves, samples: Sequence[Sample], step: Callable[[], None] = lambda: None) -> list[F32]:
    """Run the float head: float32 ``[n, C, ...]`` of each cut tensor, ``n`` samples.

    Raises:
        CapabilityError: A cut tensor's size changes from sample to sample.
    """
    rows: list[list[F32]] = [[] for _ in halves.cut]
    head = evaluate.open_graph(halves.head)
    for sample in samples:
        outputs = head.run(sample.feeds)
        for row, spec in zip(rows, halves.cut, strict=True):
            row.append(outputs[spec.name].astype(np.float32))
        step()
    for row, spec in zip(rows, halves.cut, strict=True):
        shapes = sorted({array.shape[1:] for array in row})
        if len(shapes) > 1:
            raise CapabilityError(
                f"cut value {spec.name!r} has sizes {list(shapes[0])} and {list(shapes[-1])} on different samples, and "
                "this version fits one size; set data.preprocess.resize and crop, or give arrays of one size."
            )
    return [np.concatenate(row) for row in rows]


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


def write_pair(folder: Path, inputs: Inputs, halves: graph.Halves, codec: Codec) -> Pair:
    """Insert the quantizers, write both graphs, the contract and the locked recipe.

    Raises:
        CapabilityError: The model's opset is too old for the codec's operators.
    """
    head, tail, wire, where, notes = halves.head, halves.tail, halves.cut, "host", inputs.notes
    if codec.spec.fits_graph:
        ending = passes.InsertQuantizers(codec.tensors)(halves.head)
        beginning = passes.InsertDequantizers(codec.tensors)(halves.tail)
        head, tail, notes = ending.model, beginning.model, (*notes, *ending.notes, *beginning.notes)
        wire = passes.wire_specs(codec.tensors)
        where = "graph"
    for side, model in (("edge", head), ("cloud", tail)):
        graph.verify(model, f"the {side} half")
        (folder / side).mkdir()
        graph.save(model, folder / side / "model.onnx")
    contract = bundle.Contract(
        name=inputs.recipe.name,
        task=inputs.recipe.data.task,
        inputs=list(inputs.model.inputs),
        outputs=list(inputs.model.outputs),
        cut=list(halves.cut),
        wire=list(wire),
        quantized_in=where,
        codec=codec.to_json(),
        preprocess=inputs.reader.preprocess,
        classes=inputs.classes,
    )
    (folder / "contract.json").write_bytes(contract.to_bytes())
    lock = lock_toml(inputs.recipe, inputs.source.sha256, inputs.data_sha256)
    (folder / "recipe.lock.toml").write_text(lock, "utf-8")
    return Pair(halves, codec, seal(folder, inputs), notes)


def seal(folder: Path, inputs: Inputs) -> bundle.Bundle:
    """Write the manifest over everything that stands in ``folder``; again after files were added."""
    manifest = bundle.write_manifest(
        folder,
        name=inputs.recipe.name,
        splitc=__version__,
        tools=tool_versions(),
        inputs={"model": inputs.source.sha256, "data": inputs.data_sha256},
    )
    return bundle.Bundle(folder, manifest)


def build_engines(folder: Path, inputs: Inputs, step: Callable[[], None]) -> list[EngineRecord]:
    """Compile both halves for their targets; what cannot be built here is deferred with the command that does it."""
    records = []
    sides: tuple[tuple[Side, TargetSection, Device], ...] = (
        ("edge", inputs.recipe.target.edge, inputs.places.edge),
        ("cloud", inputs.recipe.target.cloud, inputs.places.cloud),
    )
    for side, asked, device in sides:
        backend = BACKENDS.make(asked.backend, {})
        target = Target(
            device=device.name,
            side=side,
            compute_capabilities=asked.compute_capabilities or device.compute_capabilities,
            dims=_dims(inputs),
            tensorrt=device.tensorrt[0] if device.tensorrt else None,
        )
        records.append(backend.build(folder / side / "model.onnx", target, folder / side))
        step()
    return records


def check_gates(
    recipe: Recipe, folder: Path, chosen: plan.Plan, verification: evaluate.Verification
) -> list[evaluate.Gate]:
    """The recipe's limits; one that is absent makes no gate."""
    gate, coded = recipe.gate, verification.stage("coded")
    edge_bytes = _model_bytes(folder / "edge")
    return [
        *evaluate.at_least("min_fidelity", coded.fidelity, gate.min_fidelity, "verification"),
        *evaluate.at_most("max_rate_bpe", verification.rate_bpe, gate.max_rate_bpe, "verification"),
        *evaluate.at_most("max_edge_bytes", edge_bytes, gate.max_edge_bytes, "size of edge/model.onnx"),
        *evaluate.at_most("max_edge_ms", chosen.chosen.latency.edge_ms, gate.max_edge_ms, "cost model, not measured"),
    ]


def write_reports(folder: Path, document: Mapping[str, Any], verification: evaluate.Verification) -> None:
    """verify.json, report.json and report.html; no clock in any of them."""
    (folder / "verify.json").write_bytes(bundle.canonical_json(verification.model_dump(mode="json")))
    (folder / "report.json").write_bytes(bundle.canonical_json(document))
    (folder / "report.html").write_text(report.page(document), "utf-8")


def _facts(inputs: Inputs, chosen: plan.Plan, pair: Pair, folder: Path) -> dict[str, Any]:
    """What was built from what, for report.json."""
    point, places = chosen.chosen, inputs.places
    halves = {
        "edge": report.half(places.edge.name, point.head_flops, point.head_parameters, _model_bytes(folder / "edge")),
        "cloud": report.half(
            places.cloud.name, point.tail_flops, point.tail_parameters, _model_bytes(folder / "cloud")
        ),
    }
    return {
        "name": inputs.recipe.name,
        "cut": list(point.cut),
        "codec": pair.codec.spec.model_dump(mode="json"),
        "halves": halves,
        "duplicated_bytes": pair.halves.duplicated_bytes,
        "notes": list(pair.notes),
        "plan": chosen.to_json(),
        "model_sha256": inputs.source.sha256,
        "versions": {"splitc": __version__} | tool_versions(),
    }


def tool_versions() -> dict[str, str]:
    """Installed versions of what can change a bundle's bytes."""
    return {name: version(name) for name in TOOLS}


def _fit(inputs: Inputs, halves: graph.Halves, step: Callable[[], None]) -> Codec:
    samples = inputs.calibration
    return Codec.fit(codec_spec(inputs.recipe), halves.cut, features(halves, samples, step), sequence_lengths(samples))


def _predicts(recipe: Recipe) -> bool:
    return recipe.codec.temporal != "none"


def _check_clips(recipe: Recipe) -> None:
    if _predicts(recipe) and recipe.data.crops > 1:
        raise RecipeError("data.crops: crops are no consecutive frames, which codec.temporal predicts; leave it out.")


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
        if target.compute_capabilities and target.backend not in GPU_BACKENDS:
            raise RecipeError(
                f"target.{side}.compute_capabilities: backend {target.backend!r} builds for no GPU; leave it out."
            )
    classes, spec = _classes(recipe), source.outputs[0]
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


def _prepare(source: graph.Model, *, in_graph: bool) -> tuple[graph.Model, tuple[str, ...]]:
    """What is cut, and what was done to it: the source without what no engine needs, in an opset the codec can join."""
    done = [passes.Simplify()(source.ir_model)]
    graph.verify(done[-1].model, "the simplified model")
    if in_graph:
        done.append(passes.RaiseOpset()(done[-1].model))
    return graph.model_from_ir(done[-1].model), tuple(note for result in done for note in result.notes)


def _files_sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


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


def _dims(inputs: Inputs) -> dict[str, tuple[int, int, int]]:
    """Sizes of every dynamic dimension: the recipe's, else the default for the batch."""
    asked = {name: (dim.min, dim.opt, dim.max) for name, dim in inputs.recipe.model.dims.items()}
    batches = {str(spec.shape[0]) for spec in inputs.model.inputs if spec.shape and isinstance(spec.shape[0], str)}
    return dict.fromkeys(batches, DEFAULT_DIM) | asked


def _model_bytes(side: Path) -> int:
    return sum(file.stat().st_size for file in side.glob("model.onnx*"))


def _require(
    verification: evaluate.Verification,
    gates: Sequence[evaluate.Gate],
    engines: Sequence[EngineRecord],
    folder: Path,
    out: Path,
    summary: dict[str, Any],
) -> None:
    """Keep what missed a gate aside, for looking at, and leave ``out`` alone."""
    missed = [f"{g.name} is {g.value:.4g}, the limit is {g.limit:.4g} ({g.source})" for g in gates if not g.ok]
    missed += [f"the {e.side} engine failed: {e.reason}".rstrip(".") for e in engines if e.status == "failed"]
    if not verification.ok:
        missed.append("the split model's answers are not the full model's")
    if not missed:
        return
    named = out if out.name.strip(".") else out.resolve()  # "." and ".." have no name to add to
    rejected = named.with_name(f"{named.name}.rejected")
    try:
        with bundle.staging(rejected) as aside:
            shutil.copytree(folder, aside, dirs_exist_ok=True)
    except BundleError as error:
        raise CheckFailed(f"{'; '.join(missed)}. {out} is untouched; nothing was kept ({error})", summary) from error
    message = f"{'; '.join(missed)}. {out} is untouched; what was built stands at {rejected}."
    raise CheckFailed(message, summary | {"bundle": str(rejected)})
