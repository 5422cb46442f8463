"""``splitc inspect MODEL``: tensors, sizes, FLOPs, the cuts, and why other values are none."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json
from splitc.cli.names import Shapes, load_model

if TYPE_CHECKING:
    from splitc.graph import Candidates, Model


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="An ONNX file, or zoo:NAME.")],
    cuts: Annotated[bool, typer.Option("--cuts", help="List every cut, and every value that is none.")] = False,
    shape: Shapes = None,
    max_tensors: Annotated[int, typer.Option(min=1, max=16, help="Most tensors of one cut.")] = 4,
    json: Json = False,
) -> None:
    """What a model is made of, and where it can be cut."""
    from splitc import graph

    loaded = load_model(model, shape)
    listed = graph.enumerate_cuts(loaded, max_tensors)
    print_json(_document(loaded, listed)) if json else _show(model, loaded, listed, every=cuts)


def _document(model: Model, listed: Candidates) -> dict[str, object]:
    return {
        "inputs": [spec.model_dump(mode="json") for spec in model.inputs],
        "outputs": [spec.model_dump(mode="json") for spec in model.outputs],
        "nodes": model.nodes,
        "parameters": model.parameters,
        "flops": model.flops,
        "sha256": model.sha256,
        "cuts": [asdict(cut) for cut in listed.candidates],
        "rejected": [asdict(cut) for cut in listed.rejected],
    }


def _show(name: str, model: Model, listed: Candidates, *, every: bool) -> None:
    print(f"{name}: {model.nodes} nodes, {model.parameters / 1e6:.2f} M parameters, {model.flops / 1e9:.3f} GFLOP")
    for kind, specs in (("input", model.inputs), ("output", model.outputs)):
        for spec in specs:
            print(f"  {kind:<7} {spec.name}  {spec.dtype} {list(spec.shape)}")
    print(f"  {len(listed.candidates)} cuts, {len(listed.rejected)} values and sets that are none")
    if not every:
        print("  --cuts lists them")
        return
    print(f"\n  {'kB float32':>10} {'head GFLOP':>10} {'%':>5} {'head M':>7} {'tail M':>7}  cut")
    for cut in listed.candidates:
        share = 100 * cut.head_flops / max(model.flops, 1)
        weights = f"{cut.head_parameters / 1e6:7.2f} {cut.tail_parameters / 1e6:7.2f}"
        sizes = f"{cut.wire_bytes / 1e3:10.1f} {cut.head_flops / 1e9:10.3f} {share:5.1f}"
        print(f"  {sizes} {weights}  {', '.join(cut.names)}")
    print("\n  not cuts:")
    for refused in listed.rejected:
        print(f"  {', '.join(refused.names)}: {refused.reason}")
