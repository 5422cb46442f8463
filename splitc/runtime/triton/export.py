"""A Triton repository apart from the bundle, whose model folders stand for themselves.

    REPOSITORY/NAME/          config.pbtxt, 1/, README.txt, kserve.json
               NAME_decode/   config.pbtxt, 1/model.py, 1/bundle/  manifest and contract, 1/self-test/
               NAME_tail/     config.pbtxt, 1/model.py, 1/bundle/  and cloud/model.onnx
                              gpu: 1/model.plan, or 1/build.sh that makes it, in place of model.py

Configurations belong to whoever runs the server: nothing hashes them. What answers depend on is in ``bundle/``, hashed
by its manifest, and is checked when Triton loads a model.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from splitc.backends import (
    EngineTarget,
    Order,
    PlanOrder,
    model_digests,
    plan_script,
    profile_from_target,
    read_interface,
    read_order,
)
from splitc.bundle import CLOUD_MODEL, CONTRACT, MANIFEST, Bundle, Contract, graph_files
from splitc.codec import Codec
from splitc.errors import SplitcError, UsageError
from splitc.files import lies_in, whole_folder
from splitc.runtime.batches import rows_stay_apart
from splitc.runtime.engines import check_engine, find_order
from splitc.runtime.names import model_of_pair
from splitc.runtime.pair import CloudHalf
from splitc.runtime.triton.kserve import inference_service
from splitc.runtime.triton.preflight import SELF_TEST, self_test
from splitc.runtime.triton.repository import MAX_BATCH, Variant, model_files
from splitc.runtime.triton.source import PART

PLAN, BUILD = "model.plan", "build.sh"
EngineState: TypeAlias = Literal["none", "built", "to build"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        models: Names of the three models; the first is the one that clients call.
        max_batch: Samples of several requests in one run of the tail; 0: requests run one by one.
        engine: Of the gpu variant: copied from this machine, or left to ``script``.
        script: Builds the plan on the machine that serves.
    """

    models: tuple[str, str, str]
    max_batch: int
    engine: EngineState
    script: Path | None = None


@dataclass(frozen=True)
class _Engine:
    """How the gpu variant comes to its plan."""

    order: PlanOrder
    built: Path | None


def export(
    bundle: Bundle, repository: Path, variant: Variant = "cpu", target: str | None = None, *, by_pair: bool = False
) -> Exported:
    """Write the bundle's models into a repository, which may hold those of other bundles.

    Args:
        bundle: The pair.
        repository: A folder, made if it is not there.
        variant: ``cpu`` runs the tail on ONNX Runtime, ``gpu`` as a TensorRT plan.
        target: Of gpu: which of several TensorRT engines that the bundle asks for; by default the only one.
        by_pair: Name the models after the build as well, so that several builds of one bundle are served at once.

    Raises:
        UsageError: A model of that name is there already, the repository lies in the bundle, or no such target.
        BackendError: The plan's sizes are open.
        BundleError: The bundle has changed.
    """
    if lies_in(repository, bundle.path):
        raise UsageError(f"{repository}: lies in the bundle, whose files stay as they were hashed; name another place.")
    half = CloudHalf(bundle)
    batches = rows_stay_apart(half)
    engine = _engine(bundle, half.contract, target) if variant == "gpu" else None
    max_batch = (_most_samples(engine) if engine else MAX_BATCH) if batches else 0
    name = model_of_pair(bundle.name, bundle.pair_id) if by_pair else bundle.name
    texts = model_files(half.contract, bundle.pair_id, variant, max_batch, name)
    models = (name, f"{name}_tail", f"{name}_decode")
    with contextlib.ExitStack() as stack:
        places = {one: stack.enter_context(_new_folder(repository / one)) for one in models}
        _write_texts(places, texts)
        _write_notes(places[name], name, bundle.pair_id, variant)
        _copy_part(bundle, places[models[2]] / "1" / PART, (CONTRACT,))
        _write_self_test(places[models[2]] / "1" / SELF_TEST, half.codec)
        _copy_part(bundle, places[models[1]] / "1" / PART, (CONTRACT, *graph_files(bundle.manifest.files, CLOUD_MODEL)))
        if engine is not None:
            _write_engine(places[models[1]] / "1", engine)
    if engine is None:
        return Exported(models, max_batch, "none")
    state: EngineState = "to build" if engine.built is None else "built"
    return Exported(models, max_batch, state, repository / models[1] / "1" / BUILD)


def _new_folder(place: Path) -> contextlib.AbstractContextManager[Path]:
    def refuse(found: Path) -> None:
        if found.is_symlink() or (found.exists() and (not found.is_dir() or any(found.iterdir()))):
            raise UsageError(
                f"{place}: exists, and its configuration may have been changed by hand; move it away, or name "
                "another repository."
            )

    return whole_folder(place, refuse)


def _write_texts(places: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        model, _, rest = name.partition("/")
        path = places[model] / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _write_notes(folder: Path, name: str, pair_id: str, variant: Variant) -> None:
    (folder / "README.txt").write_text(_readme(name, variant), "utf-8")
    (folder / "kserve.json").write_bytes(inference_service(name, pair_id, "", on_gpu=variant == "gpu"))


def _copy_part(bundle: Bundle, folder: Path, names: tuple[str, ...]) -> None:
    """The manifest as it is, and some of the files that it lists."""
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(bundle.manifest.to_bytes())
    with bundle.unchanged(names):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / name, folder / name)


def _write_self_test(folder: Path, codec: Codec) -> None:
    files = self_test(codec)
    if files:
        folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _write_engine(folder: Path, engine: _Engine) -> None:
    """Beside the part of the bundle: the script, and the plan if there is one."""
    model = folder / PART / CLOUD_MODEL
    inside = f"{PART}/{CLOUD_MODEL}"
    names = model_digests(model, read_interface(model))
    digests = {f"{PART}/cloud/{name}": digest for name, digest in names.items()}
    script = folder / BUILD
    script.write_text(plan_script(inside, digests, PLAN, engine.order), "utf-8")
    script.chmod(0o755)
    if engine.built is not None:
        shutil.copyfile(engine.built, folder / PLAN)


def _engine(bundle: Bundle, contract: Contract, target: str | None) -> _Engine:
    order = _order(bundle, target)
    if order is not None:
        asked = PlanOrder(dict(order.shapes), order.tensorrt, order.needs, order.options)
        return _Engine(asked, _built(bundle, order))
    dims = {str(size): (1, 1, MAX_BATCH) for spec in contract.wire for size in spec.shape[:1] if isinstance(size, str)}
    place = EngineTarget(device="triton", side="cloud", dims=dims)
    return _Engine(PlanOrder(profile_from_target(read_interface(bundle.cloud_model), place)), None)


def _order(bundle: Bundle, target: str | None) -> Order | None:
    """The TensorRT engine that the bundle asks for; None if it asks for none and none is named."""
    wanted = list(_tensorrt_targets(bundle))
    if target is None and not wanted:
        return None
    if target is None and len(wanted) > 1:
        raise UsageError(f"{bundle.path}: asks for several TensorRT engines: {', '.join(wanted)}; name one, --target.")
    return find_order(bundle, "cloud", target or wanted[0])


def _tensorrt_targets(bundle: Bundle) -> Iterator[str]:
    for name, files in bundle.engines("cloud").items():
        path = f"cloud/engines/{name}/build.json"
        order = read_order(bundle.read_bytes(path), path) if path in files else None
        if order is not None and order.backend == "tensorrt":
            yield name


def _built(bundle: Bundle, order: Order) -> Path | None:
    """What ``splitc engine`` built on this machine, if it is current."""
    try:
        return check_engine(bundle, order)
    except SplitcError:  # no toolkit, no GPU, no engine: the script is left
        return None


def _most_samples(engine: _Engine) -> int:
    return min((most[0] for _, _, most in engine.order.profile.values()), default=MAX_BATCH)


def _readme(name: str, variant: Variant) -> str:
    lines = [
        f"Triton models {name}, {name}_tail and {name}_decode of one splitc bundle; clients call {name}.",
        f"tritonserver --model-repository=REPOSITORY --model-control-mode=explicit --load-model={name}",
        "Triton's Python needs splitc, and numpy below 2. Each folder may be copied or linked by itself.",
        "config.pbtxt is yours: instances, GPUs, batching delays, queues, priorities, warm-up. Names, types, dims,",
        "pair_id and sequence_batching stay. Files in 1/bundle are hashed, and checked when a model is loaded:",
        "splitc triton REPOSITORY --check, in the Python that runs Triton's models, says so beforehand.",
    ]
    if variant == "gpu":
        lines += [
            f"{name}_tail/1/{PLAN} is a TensorRT plan of one GPU and one TensorRT. Where it is not there, or was built",
            f"elsewhere: sh {name}_tail/1/{BUILD}, on the machine that serves, with the TensorRT of its Triton.",
        ]
    return "\n".join(lines) + "\n"
