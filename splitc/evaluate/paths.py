"""The ways an input can take to an answer, from a build or from a finished bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypedDict

import onnx_ir as ir

from splitc import graph, passes
from splitc.backends import BACKENDS, EngineRecord, Runner
from splitc.bundle import Bundle
from splitc.errors import UsageError
from splitc.files import temporary_folder
from splitc.runtime import RUNNER, CloudHalf, EdgeHalf, read_contract
from splitc.types import Array, Feeds

Model = Callable[[Feeds], Mapping[str, Array]]
"""Feeds to outputs by name."""
FirstFault = Callable[[str, Feeds], str]
JOINED = "the halves joined without codec"


class Joint(NamedTuple):
    """A head and a tail without codec between them."""

    head: ir.Model
    tail: ir.Model


@dataclass(frozen=True)
class Paths:
    """Where verification sends each sample.

    Attributes:
        reference: What ``full`` is, in words.
        full: The unsplit model, or the halves joined where that is not at hand.
        split: Float head, then float tail; no codec. None where there is no unsplit model to compare it with.
        lowered: The halves as they compute, pruned or in INT8, without codec; None where both are the model's.
        prepared: The model as it was cut, which ``split`` must equal bit for bit; None where it is not known.
        why_no_model: Where ``split`` is None, why.
        edge, cloud: The halves as they stand in the bundle, computed node by node; float16 as
            ``passes.float16_arithmetic`` computes it, since ONNX Runtime's CPU would compute in float32.
        engine_edge, engine_cloud: The halves as their backends run them; None where they cannot run here.
        why_no_engine: Then, why.
        is_float16: The unsplit model computes in float16.
        first_fault: Says, as the end of a sentence, which node of a stage first gives NaN or infinities for what the
            stage reads: the sample, behind the codec what the tail is fed.
    """

    reference: str
    full: Model
    split: Model | None
    edge: EdgeHalf
    cloud: CloudHalf
    prepared: Model | None = None
    lowered: Model | None = None
    why_no_model: str = ""
    engine_edge: EdgeHalf | None = None
    engine_cloud: CloudHalf | None = None
    why_no_engine: str = ""
    is_float16: bool = False
    first_fault: FirstFault = lambda stage, feeds: ""


class _EnginePaths(TypedDict):
    engine_edge: EdgeHalf | None
    engine_cloud: CloudHalf | None
    why_no_engine: str


def make_paths(
    reference: str,
    full: ir.Model,
    halves: Joint,
    bundle: Bundle,
    engines: Sequence[EngineRecord],
    *,
    lowered: Joint | None = None,
    is_exact: bool = True,
) -> Paths:
    """Open every path; a graph without codec when it is first asked, since its answers may be on record.

    Args:
        reference: What ``full`` is, in words.
        full: The unsplit model.
        halves: Its halves without the codec, computing as it does.
        bundle: The halves with the codec.
        lowered: The halves without the codec, computing in INT8 or FP16; None where they compute as the model does.
        engines: What the bundle was compiled to; ONNX Runtime is the only engine that runs here.
        is_exact: Whether ``full``, prepared here as a build prepares it, is what ``halves`` were cut from.
    """
    edge = EdgeHalf(bundle, optimize=False, engine=_float16_runner(bundle.edge_model))
    in_graph = edge.contract.quantized_in == "graph"
    return Paths(
        reference=reference,
        full=_when_asked(lambda: open_graph(full).run),
        split=_when_asked(lambda: _run_joint(halves)),
        edge=edge,
        cloud=CloudHalf(bundle, optimize=False, engine=_float16_runner(bundle.cloud_model)),
        prepared=_when_asked(lambda: open_graph(passes.prepare(full, in_graph=in_graph).model).run)
        if is_exact
        else None,
        is_float16=passes.computes_in_float16(full),
        first_fault=lambda stage, feeds: _first_fault(_graphs_of(stage, full, halves, lowered, bundle), feeds),
        lowered=_when_asked(lambda: _run_joint(lowered)) if lowered else None,
        **_engines(bundle, engines),
    )


def paths_of_bundle(bundle: Bundle, model: graph.Model | None, why: str = "", *, same_tools: bool = True) -> Paths:
    """Open the paths of a finished bundle.

    Args:
        bundle: Checked by ``open_bundle``.
        model: The unsplit model. Without it the halves are joined without their codec, and nothing that follows can
            notice that a half is not the model's.
        why: Then, why there is none.
        same_tools: Whether what prepares a model for the cut is here what it was for the build; else the split is
            compared with the model itself, within rounding.

    Raises:
        UsageError: ``model`` is not the one that the bundle was built from.
    """
    contract = read_contract(bundle)
    head = passes.float_head(graph.load(bundle.edge_model).ir_model, contract.cut)
    tail = passes.float_tail(graph.load(bundle.cloud_model).ir_model, contract.cut)
    stored, report = Joint(head, tail), bundle.read_json("report.json")
    engines = [EngineRecord.model_validate(one) for one in report["engines"]]
    if model is None:
        joined = make_paths(JOINED, graph.merge(head, tail), stored, bundle, engines, is_exact=False)
        return replace(joined, split=None, why_no_model=why)
    if model.sha256 != bundle.manifest.inputs.get("model"):
        raise UsageError(
            f"{model.path}: is not the model that this bundle was built from (sha256 {model.sha256[:12]}...)."
        )
    recovery = report.get("recovery") or {}
    is_changed = bool(report.get("weights")) or bool(recovery.get("is_kept"))
    if not is_changed and set(report.get("precision", {}).values()) <= {"fp32"}:
        return make_paths("the unsplit model", model.ir_model, stored, bundle, engines, is_exact=same_tools)
    prepared = passes.prepare(model.ir_model, in_graph=contract.quantized_in == "graph").model
    kept = graph.SplitKeep(tuple(contract.cloud_inputs), tuple(contract.edge_outputs))
    names = recovery["cut"] if recovery.get("is_kept") else [spec.name for spec in contract.cut]
    cut = graph.split(graph.keeping(graph.model_from_ir(prepared), kept), names)
    halves = Joint(cut.head, cut.tail)
    return make_paths("the unsplit model", model.ir_model, halves, bundle, engines, lowered=stored, is_exact=same_tools)


def _engines(bundle: Bundle, engines: Sequence[EngineRecord]) -> _EnginePaths:
    """The halves as their backends run them, or why they do not here."""
    away = [one for one in engines if one.backend != RUNNER]
    why = "; ".join(
        f"the {one.side} engine ({one.backend}, {one.status}) runs on {one.target}, not here" for one in away
    )
    if away:
        return {"engine_edge": None, "engine_cloud": None, "why_no_engine": why}
    return {"engine_edge": EdgeHalf(bundle), "engine_cloud": CloudHalf(bundle), "why_no_engine": ""}


def _when_asked(open_model: Callable[[], Model]) -> Model:
    opened = cache(open_model)
    return lambda feeds: opened()(feeds)


def _run_joint(halves: Joint) -> Model:
    """Head, then tail, without codec."""
    head, tail = open_graph(halves.head), open_graph(halves.tail)
    return lambda feeds: _run_halves(head, tail, feeds)


def _run_halves(head: Runner, tail: Runner, feeds: Feeds) -> dict[str, Array]:
    """Answers of two halves: the tail's, and those of the head that the tail does not take."""
    made = head.run({spec.name: feeds[spec.name] for spec in head.inputs})
    known, taken = {**feeds, **made}, [spec.name for spec in tail.inputs]
    early = {name: array for name, array in made.items() if name not in taken}
    return early | tail.run({name: known[name] for name in taken})


def open_graph(model: ir.Model) -> Runner:
    """A runner over a graph in memory, computed node by node; float16 as ``passes.float16_arithmetic`` computes it."""
    return _opened(model, optimize=False)


def open_optimized(model: ir.Model) -> Runner:
    """The same as an engine computes it: several times faster, and equal within rounding (float16 included)."""
    return _opened(model, optimize=True)


def _graphs_of(stage: str, full: ir.Model, halves: Joint, lowered: Joint | None, bundle: Bundle) -> Sequence[ir.Model]:
    """What computes a stage, from what it reads."""
    if stage in ("quantized", "coded"):
        return [graph.load(bundle.cloud_model).ir_model]
    return {"full": [full], "prepared": halves, "split": halves}.get(stage) or lowered or halves


def _first_fault(models: Sequence[ir.Model], feeds: Feeds) -> str:
    """As :attr:`Paths.first_fault`, for graphs that feed each other."""
    for model in models:
        fault = passes.first_not_finite(model, feeds)
        if fault is not None:
            return f"; {fault}"
        runner = open_graph(model)
        feeds = {**feeds, **runner.run({spec.name: feeds[spec.name] for spec in runner.inputs})}
    return ""


def _float16_runner(path: Path) -> Runner | None:
    """A runner with real float16 arithmetic; None where the half has none."""
    model = graph.load(path).ir_model
    return open_graph(model) if passes.computes_in_float16(model) else None


def _opened(model: ir.Model, *, optimize: bool) -> Runner:
    with temporary_folder("evaluate") as folder:
        path = folder / "model.onnx"
        graph.save(passes.float16_arithmetic(model), path)
        return BACKENDS.make(RUNNER, {}).open(path, optimize=optimize)
