"""``splitc inspect MODEL``: tensors, sizes, FLOPs, the cuts, and why other values are none."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.names import Keep, Shapes, Simplify, load_model

if TYPE_CHECKING:
    from splitc.evaluate import FeatureStats
    from splitc.graph import CandidateCut, CutCandidates, Model, ModelStage, RejectedCut

COLUMNS = 80
"""Width of the tables; names that are longer stay whole."""


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="An ONNX file, or zoo:NAME.")],
    cuts: Annotated[
        bool, typer.Option("--cuts", help="List every cut, and every rejected value with its reason.")
    ] = False,
    stats: Annotated[
        list[str] | None,
        typer.Option(
            "--stats", metavar="FILES", help="Run these pictures or .npy/.npz and describe the tensor at each cut."
        ),
    ] = None,
    simplify: Simplify = False,
    shape: Shapes = None,
    keep: Keep = None,
    max_tensors: Annotated[int, typer.Option(min=1, max=16, help="Largest number of tensors in a cut.")] = 4,
    json: Json = False,
) -> None:
    """What a model is made of, and where it can be cut."""
    from splitc import driver, graph, plan
    from splitc.codec import CodecSpec
    from splitc.recipe import SplitSection

    loaded = load_model(model, shape)
    digest = loaded.sha256 if json else ""
    loaded = driver.with_kept(driver.simplified(loaded) if simplify else loaded, dict.fromkeys(keep or [], "cloud"))
    listed = graph.enumerate_cuts(loaded, max_tensors, plan.refusing([CodecSpec()], SplitSection()))
    stages = graph.stages_of(loaded, listed.candidates)
    names = list(dict.fromkeys(name for cut in listed.candidates for name in cut.names))
    described = driver.cut_stats(model, loaded, names, stats) if stats else []
    if json:
        numbers = {"stats": [asdict(one) for one in described]} if stats else {}
        print_json(_document(loaded, listed, stages) | {"sha256": digest} | numbers)
        return
    _show(model, loaded, listed, stages)
    if cuts:
        _show_cuts(loaded, listed)
    if stats:
        _show_stats(described)
    if not cuts and not stats:
        print("  --cuts lists them, --stats FILES describes their numbers")


def _document(model: Model, listed: CutCandidates, stages: Sequence[ModelStage]) -> dict[str, Any]:
    from splitc.graph import open_dims

    return {
        "inputs": [spec.model_dump(mode="json") for spec in model.inputs],
        "outputs": [spec.model_dump(mode="json") for spec in model.outputs],
        "nodes": model.nodes,
        "parameters": model.parameters,
        "flops": model.flops,
        "open_sizes": list(open_dims(model.inputs)),
        "blocks": [asdict(stage) for stage in stages],
        "cuts": [asdict(cut) | {"layouts": _layouts(model, cut)} for cut in listed.candidates],
        "rejected": [asdict(cut) for cut in listed.rejected],
    }


def _show(name: str, model: Model, listed: CutCandidates, stages: Sequence[ModelStage]) -> None:
    print(f"{name}: {model.nodes} nodes, {model.parameters / 1e6:.2f} M parameters, {model.flops / 1e9:.3f} GFLOP")
    for kind, specs in (("input", model.inputs), ("output", model.outputs)):
        for spec in specs:
            print(f"  {kind:<7} {spec.name}  {spec.dtype} {list(spec.shape)}")
    _say_open_sizes(model)
    _say_returned_inputs(model)
    if len(stages) > 1:
        print(f"\n  {'GFLOP':>10} {'%':>5} {'sum %':>6}  {'size':<12} block ends in")
        for stage in stages:
            size = "x".join(map(str, stage.resolution)) or "-"
            shares = f"{100 * stage.share:5.1f} {100 * stage.cumulative_share:6.1f}"
            print(f"  {stage.flops / 1e9:10.3f} {shares}  {size:<12} {stage.end}")
    print(f"\n  {len(listed.candidates)} cuts, {len(listed.rejected)} values and sets of values that are no cut")


def _say_open_sizes(model: Model) -> None:
    """What makes all numbers below too small."""
    from splitc.graph import open_dims

    places = open_dims(model.inputs)
    if not places:
        return
    name = next(iter(places.values()))[0]
    shape = next(spec.shape for spec in model.inputs if spec.name == name)
    example = "x".join("640" if dim in places else str(dim) for dim in shape)
    verb = "counts" if len(places) == 1 else "count"
    say(f"note: {', '.join(places)} {verb} as 1 in every number here; give sizes, --shape {name}:{example}.")


def _say_returned_inputs(model: Model) -> None:
    """Why every value leaks: an input that is an output too crosses every cut unless the edge answers it."""
    flow = model.flow
    for name in [value.name for value in flow.outputs if value in flow.inputs]:
        say(
            f"note: input {name!r} is an output too and crosses every cut; let the edge answer it, "
            f"split.keep = {{ {name!r} = 'edge' }} in a recipe, --exit {name} for split."
        )


def _layouts(model: Model, cut: CandidateCut) -> list[dict[str, Any]]:
    """Axes of the samples and the channels of each tensor; where the graph does not tell them, they are a guess."""
    from splitc.graph import cut_layouts

    return [
        layout.model_dump() | {"wire_shape": layout.wire_shape(shape), "is_known": is_known}
        for (layout, is_known), shape in zip(cut_layouts(model, cut.names), cut.shapes, strict=True)
    ]


def _show_cuts(model: Model, listed: CutCandidates) -> None:
    print(
        f"\n  {'kB float32':>10} {'type':<9} {'head GFLOP':>10} {'tail':>8} {'%':>5} {'head M':>7} {'tail M':>7}  cut"
    )
    for cut in listed.candidates:
        numbers, names, wires = _cut_numbers(cut), ", ".join(cut.names), _wires(model, cut)
        fits = len(numbers) + len(names) + 4 <= COLUMNS
        print(f"  {numbers}  {names}" if fits else f"  {numbers}\n{_wrapped(names)}")
        if wires:
            print(f"      {wires}")
    if listed.rejected:
        print("\n  not cuts:")
    for reason, places in _by_reason(listed.rejected).items():
        print(_wrapped(f"{reason}:", "  "))
        print(_wrapped("; ".join(places)))


def _by_reason(rejected: Sequence[RejectedCut]) -> dict[str, list[str]]:
    """What is no cut, under the reason why."""
    reasons: dict[str, list[str]] = {}
    for refused in rejected:
        reasons.setdefault(refused.reason, []).append(", ".join(refused.names))
    return reasons


def _wrapped(text: str, indent: str = "      ") -> str:
    """Lines of at most ``COLUMNS``; a name that is longer stays whole."""
    return textwrap.fill(
        text, COLUMNS, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _wires(model: Model, cut: CandidateCut) -> str:
    """How the tensors cross whose samples and channels are not in front."""
    pairs = zip(cut.shapes, _layouts(model, cut), strict=True)
    moved = [f"{_sizes(shape)} as {_sizes(one['wire_shape'])}" for shape, one in pairs if one["wire_shape"] != shape]
    return ", ".join(moved)


def _sizes(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _cut_numbers(cut: CandidateCut) -> str:
    share = 100 * cut.head_flops / max(cut.head_flops + cut.tail_flops, 1)
    kinds = ",".join(dict.fromkeys(cut.dtypes))
    work = f"{cut.head_flops / 1e9:10.3f} {cut.tail_flops / 1e9:8.3f} {share:5.1f}"
    weights = f"{cut.head_parameters / 1e6:7.2f} {cut.tail_parameters / 1e6:7.2f}"
    return f"{cut.wire_bytes / 1e3:10.1f} {kinds:<9} {work} {weights}"


def _show_stats(described: Sequence[FeatureStats]) -> None:
    print(
        f"\n  {'zeros %':>7} {'[0,1] %':>7} {'< 0 %':>6} {'mean':>9} {'max':>9} {'exp rate':>9} {'distance':>8}  tensor"
    )
    for one in described:
        print(f"  {_stats_line(asdict(one))}  {one.name}")


def _stats_line(one: Mapping[str, Any]) -> str:
    shares = f"{100 * one['zeros_share']:7.2f} {100 * one['unit_share']:7.2f} {100 * one['negative_share']:6.2f}"
    fit = "        -        -" if one["exponential_rate"] is None else ""
    fit = fit or f"{one['exponential_rate']:9.3g} {one['exponential_distance']:8.3f}"
    return f"{shares} {one['mean']:9.3g} {one['largest']:9.3g} {fit}"
