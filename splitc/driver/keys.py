"""What a build's steps depend on, as keys of the step cache: each names all that decides it and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splitc import graph
from splitc.backends import EngineRecord
from splitc.cache import Key, key_of, package_sha256
from splitc.codec import PARTS
from splitc.lowering import LoweringRequest, is_mixed
from splitc.recipe import Recipe
from splitc.runtime import Reader
from splitc.tasks import BoundTask
from splitc.types import Preprocess


def other_code() -> dict[str, Key]:
    """Code of the packages that codec parts come from beside splitc itself, by name: it decides what they compute."""
    names = {name for registry in PARTS.values() for name in registry.packages()} - {"splitc"}
    return {name: package_sha256(name) for name in sorted(names)}


def model_key(recipe: Recipe, source: graph.Model, preprocess: Preprocess, *, in_graph: bool) -> Key:
    """The prepared model: what was read, the shapes that the recipe gives it, and what preparing it is for."""
    pixels = preprocess.model_dump(mode="json") if preprocess.in_graph else None
    kept = dict(sorted(recipe.split.keep.items()))
    return key_of(model=source.sha256, shapes=recipe.model.shapes, pixels=pixels, in_graph=in_graph, keep=kept)


def data_key(data_sha256: str, calibration: Sequence[Path], verification: Sequence[Path], reader: Reader) -> Key:
    """The samples: bytes of all files, which are for what, their names (they order clips), and how they are read."""
    return key_of(
        data=data_sha256,
        calibration=[str(path) for path in calibration],
        verification=[str(path) for path in verification],
        inputs=[spec.model_dump(mode="json") for spec in reader.inputs],
        preprocess=reader.preprocess.model_dump(mode="json"),
        regions=reader.regions,
    )


def task_key(task: BoundTask) -> Key:
    """What the answers are: the task with all its options, how it was settled, and the code of another package."""
    package = type(task.task).__module__.partition(".")[0]
    code = None if package == "splitc" else package_sha256(package)
    return key_of(name=task.task.name, options=task.task.model_dump(mode="json"), reads=task.reads, code=code)


def halves_key(request: LoweringRequest, model: Key, data: Key, recovery: Key | None) -> Key:
    """The halves as they compute: the cut, and what is done to weights and precision, with the samples for it.

    ``recovery`` is the key of what was trained at the cut; None where nothing was.
    """
    is_limited = is_mixed(request.weights, request.min_fidelity)
    return key_of(
        model=model,
        data=data,
        recovery=recovery,
        code=other_code(),
        cut=[spec.name for spec in request.halves.cut],
        weights=request.weights.model_dump(mode="json"),
        min_fidelity=request.min_fidelity if is_limited else None,
        coding=request.coding.said if request.coding and request.weights.cloud.precision == "fp16" else None,
        task=task_key(request.task),
        targets={
            side: [target.device.model_dump(mode="json"), target.backend, target.is_sparse]
            for side, target in request.targets.items()
        },
    )


def verification_key(halves: Key, pair_id: str, engines: Sequence[EngineRecord], labels: str) -> Key:
    """What verification finds: graphs and contract (their pair id), engines, samples, labels (their hash)."""
    records = [record.model_dump(mode="json") for record in engines]
    return key_of(halves=halves, pair=pair_id, engines=records, labels=labels)
