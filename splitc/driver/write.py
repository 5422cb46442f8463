"""Put graphs, contract, engines and reports into a bundle that is being filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import onnx_ir as ir

from splitc import bundle, evaluate, graph, passes, plan, report, runtime
from splitc.backends import BACKENDS, EngineRecord, EngineTarget, Side
from splitc.codec import Codec
from splitc.device import Device
from splitc.driver.answers import network_of
from splitc.driver.inputs import Inputs
from splitc.driver.recipes import codec_spec
from splitc.lowering import LayerPrecision, Lowered, Saving, packed, precisions
from splitc.recipe import Recipe, TargetSection, lock_toml
from splitc.tasks import spelled_options
from splitc.types import USUAL_LAYOUT, TensorSpec, factors_of
from splitc.version import __version__

DEFAULT_DIM = (1, 1, 8)
"""Least, usual and largest size of a dynamic dimension that the recipe says nothing of."""
TOOLS = ("numpy", "onnx", "onnx-ir", "onnxruntime", "pillow", "zstandard")
"""Packages whose version can change a bundle's bytes."""


@dataclass(frozen=True)
class WrittenPair:
    """The two graphs as they stand in the bundle, and what they agreed on."""

    halves: graph.Halves
    codec: Codec
    bundle: bundle.Bundle
    notes: tuple[str, ...]
    savings: tuple[Saving, ...]
    layers: tuple[LayerPrecision, ...]


def write_pair(
    folder: Path, inputs: Inputs, lowered: Lowered, codec: Codec, codec_notes: Sequence[str] = ()
) -> WrittenPair:
    """Insert the quantizers, write both graphs, the contract and the locked recipe.

    Args:
        folder: Of the bundle.
        inputs: What the recipe names.
        lowered: The halves as they shall compute.
        codec: Fitted on features of their head.
        codec_notes: On what it was fitted, for the report.

    Raises:
        CapabilityError: The model's opset is too old for the codec's operators.
    """
    coded = _with_codec(lowered.halves, codec)
    for side, model in (("edge", coded.head), ("cloud", coded.tail)):
        passes.require_sound(model, f"splitting off the {side} half")
        (folder / side).mkdir()
        graph.save(model, folder / side / "model.onnx")
        if any(one.side == side for one in lowered.savings):
            (folder / side / "weights.scw").write_bytes(packed(model))
    contract = _contract(inputs, lowered.halves, codec, coded)
    (folder / "contract.json").write_bytes(contract.to_bytes())
    lock = lock_toml(inputs.recipe, inputs.source.sha256, inputs.data_sha256, inputs.training_sha256)
    (folder / "recipe.lock.toml").write_text(lock, "utf-8")
    _write_triton(folder, contract, seal(folder, inputs))
    notes = (
        *inputs.notes,
        *lowered.notes,
        *codec_notes,
        *coded.notes,
        *_design_notes(inputs, codec),
        *_layout_notes(codec),
    )
    return WrittenPair(lowered.halves, codec, seal(folder, inputs), notes, lowered.savings, lowered.layers)


class _Coded(NamedTuple):
    """The halves with the codec's quantizers where they belong, and what crosses between them."""

    head: ir.Model
    tail: ir.Model
    wire: Sequence[TensorSpec]
    quantized_in: Literal["graph", "host"]
    notes: tuple[str, ...]


def _with_codec(halves: graph.Halves, codec: Codec) -> _Coded:
    if not codec.spec.fits_graph:
        return _Coded(halves.head, halves.tail, halves.cut, "host", ())
    ending = passes.apply(passes.InsertQuantizers(codec.tensors), halves.head)
    beginning = passes.apply(passes.InsertDequantizers(codec.tensors), halves.tail)
    wire = passes.wire_specs(codec.tensors)
    return _Coded(ending.model, beginning.model, wire, "graph", (*ending.notes, *beginning.notes))


def _contract(inputs: Inputs, halves: graph.Halves, codec: Codec, coded: _Coded) -> bundle.Contract:
    return bundle.Contract(
        name=inputs.recipe.name,
        task=inputs.recipe.data.task,
        task_options=spelled_options(inputs.task, network_of(inputs.model, inputs.answers.classes)),
        inputs=list(inputs.model.inputs),
        outputs=list(inputs.model.outputs),
        cloud_inputs=[spec.name for spec in halves.given],
        edge_outputs=list(halves.exits),
        cut=list(halves.cut),
        wire=list(coded.wire),
        quantized_in=coded.quantized_in,
        codec=codec.to_json(),
        preprocess=inputs.reader.preprocess,
        classes=list(inputs.answers.classes) if inputs.answers.classes else None,
    )


def _write_triton(folder: Path, contract: bundle.Contract, sealed: bundle.Bundle) -> None:
    """The model repository of the cloud half; it batches where a trial shows that rows stay apart."""
    batches = runtime.rows_stay_apart(runtime.CloudHalf(sealed))
    for name, data in runtime.triton_repository(contract, sealed.pair_id, batches=batches).items():
        path = folder / "cloud" / "triton" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _design_notes(inputs: Inputs, codec: Codec) -> list[str]:
    """What was chosen where the recipe leaves the transform open, and no bottleneck takes its place."""
    asked = codec_spec(inputs.recipe)
    if not asked.make_transform().is_choice or codec.tensors[0].spec.name not in inputs.model.flow.values:
        return []
    return [
        f"codec: of the designs tried, transform {codec.spec.transform!r} with step {codec.spec.step:g} takes the "
        f"fewest bytes where answers move as by plain steps of {asked.resolved().step:g}"
    ]


def _layout_notes(codec: Codec) -> list[str]:
    """Which tensors cross with their axes in another order, and why."""
    notes = []
    for tensor in codec.tensors:
        if tensor.layout != USUAL_LAYOUT:
            axes = (("samples", tensor.layout.batch_axis), ("channels", tensor.layout.channel_axis))
            where = ", ".join(f"no {what}" if axis is None else f"{what} on axis {axis}" for what, axis in axes)
            here, there = (f"[{', '.join(map(str, shape))}]" for shape in (tensor.spec.shape, tensor.wire_shape))
            notes.append(f"{tensor.spec.name!r} {here} is coded as {there}: {where}")
    return notes


def seal(folder: Path, inputs: Inputs) -> bundle.Bundle:
    """Write the manifest over everything that stands in ``folder``; again after files were added.

    Raises:
        UsageError: A file that the manifest gives the hash of was written meanwhile.
    """
    inputs.require_unchanged()
    manifest = bundle.write_manifest(
        folder,
        name=inputs.recipe.name,
        splitc=__version__,
        tools=tool_versions(),
        inputs=_pins(inputs),
    )
    return bundle.Bundle(folder, manifest)


def _pins(inputs: Inputs) -> dict[str, str]:
    """What a bundle is built from, to hash."""
    trained = {} if inputs.training_sha256 is None else {"training": inputs.training_sha256}
    return {"model": inputs.source.sha256, "data": inputs.data_sha256, **trained}


def write_sbom(folder: Path, inputs: Inputs, codec: Codec, engines: Sequence[EngineRecord]) -> None:
    """sbom.json: packages that decide the bundle's bytes, toolkits of its engines, model and samples."""
    toolkits = {name: version for engine in engines for name, version in engine.versions.items()}
    tools = {**toolkits, **codec.spec.make_entropy().tools, **tool_versions()}
    document = bundle.sbom(inputs.recipe.name, __version__, tools, _pins(inputs))
    (folder / bundle.SBOM).write_bytes(bundle.canonical_json(document))


def build_engines(folder: Path, inputs: Inputs, step: Callable[[], None]) -> list[EngineRecord]:
    """Compile both halves for their targets; what cannot be built here is deferred with the command that does it."""
    records = []
    wire = bundle.Contract.from_bytes((folder / "contract.json").read_bytes()).wire
    sides: tuple[tuple[Side, TargetSection, Device], ...] = (
        ("edge", inputs.recipe.target.edge, inputs.places.edge),
        ("cloud", inputs.recipe.target.cloud, inputs.places.cloud),
    )
    for side, asked, device in sides:
        backend = BACKENDS.make(asked.backend, asked.options)
        target = EngineTarget(
            device=device.name,
            side=side,
            compute_capabilities=asked.compute_capabilities or device.compute_capabilities,
            dims=dynamic_dims(inputs.recipe, inputs.model.inputs, wire),
            tensorrt=device.tensorrt[0] if device.tensorrt else None,
        )
        records.append(backend.build(folder / side / "model.onnx", target, folder / side))
        step()
    return records


def write_reports(folder: Path, document: Mapping[str, Any], verification: evaluate.Verification) -> None:
    """verify.json, report.json and report.html; no clock in any of them."""
    (folder / "verify.json").write_bytes(bundle.canonical_json(verification.model_dump(mode="json")))
    (folder / "report.json").write_bytes(bundle.canonical_json(document))
    page = report.page(document).encode("utf-8", "backslashreplace")  # names of files may be bytes that are no UTF-8
    (folder / "report.html").write_bytes(page)


def describe(inputs: Inputs, chosen: plan.Plan, pair: WrittenPair, folder: Path) -> dict[str, Any]:
    """What was built from what, for report.json."""
    point, load, places = chosen.best_cut, chosen.best_cut.load, inputs.places
    work = {
        "edge": (places.edge.name, load.head_flops, load.head_parameters, graph.weight_bytes(pair.halves.head)),
        "cloud": (places.cloud.name, load.tail_flops, load.tail_parameters, graph.weight_bytes(pair.halves.tail)),
    }
    halves = {side: report.half(*one, model_bytes(folder / side)) for side, one in work.items()}
    return {
        "name": inputs.recipe.name,
        "cut": list(point.cut),
        "task_notes": list(inputs.task.notes),
        "codec": pair.codec.spec.model_dump(mode="json"),
        "symbol_bits": max(tensor.params.bits for tensor in pair.codec.tensors),
        "halves": halves,
        "duplicated_bytes": pair.halves.duplicated_bytes,
        "precision": precisions(inputs.recipe.weights),
        "weights": [asdict(one) for one in pair.savings],
        "layer_precision": [asdict(one) for one in pair.layers],
        "notes": [*_plan_notes(inputs.recipe), *pair.notes],
        "plan": {**chosen.to_json(), "link": inputs.places.link.model_dump(mode="json")},
        "outline": asdict(graph.outline(inputs.model, point.cut)),
        "model_sha256": inputs.source.sha256,
        "versions": {"splitc": __version__} | tool_versions() | pair.codec.spec.make_entropy().tools,
    }


def _plan_notes(recipe: Recipe) -> list[str]:
    """What the plan's numbers are of, where halves compute otherwise than candidates."""
    if set(precisions(recipe.weights).values()) == {"fp32"}:
        return []
    return ["plan: candidate cuts were measured with float halves; verification measures the halves as they compute"]


def tool_versions() -> dict[str, str]:
    """Installed versions of what can change a bundle's bytes."""
    return {name: version(name) for name in TOOLS}


def dynamic_dims(
    recipe: Recipe, inputs: Sequence[TensorSpec], wire: Sequence[TensorSpec]
) -> dict[str, tuple[int, int, int]]:
    """Sizes of every dynamic dimension: the recipe's, else the default for the batch; and multiples on the wire."""
    asked = {name: (dim.min, dim.opt, dim.max) for name, dim in recipe.model.dims.items()}
    batches = {str(spec.shape[0]) for spec in inputs if spec.shape and isinstance(spec.shape[0], str)}
    known = dict.fromkeys(batches, DEFAULT_DIM) | asked
    for dim in (dim for spec in wire for dim in spec.shape if isinstance(dim, str)):
        times, name = factors_of(dim)
        if times > 1 and name in known:
            least, usual, most = known[name]
            known.setdefault(dim, (times * least, times * usual, times * most))
    return known


def model_bytes(side: Path) -> int:
    """Bytes of a half's graph, external weights included."""
    return sum(file.stat().st_size for file in side.glob("model.onnx*"))
