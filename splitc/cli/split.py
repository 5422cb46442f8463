"""``splitc split MODEL --at NAMES -o DIR``: two runnable ONNX halves, and a proof that they make the whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.names import Keep, Shapes, Simplify, load_model, split_names

if TYPE_CHECKING:
    from splitc.driver import SplitFiles


@app.command()
def split(
    model: Annotated[str, typer.Argument(help="An ONNX file, or zoo:NAME.")],
    at: Annotated[
        list[str], typer.Option("--at", "--cut", metavar="NAME[,NAME]", help="Tensors or nodes after which to cut.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of head.onnx and tail.onnx.")],
    exits: Annotated[
        list[str] | None,
        typer.Option("--exit", metavar="OUTPUT", help="An output that the head answers by itself (early exit)."),
    ] = None,
    keep: Keep = None,
    simplify: Simplify = False,
    shape: Shapes = None,
    json: Json = False,
) -> None:
    """Cut a model in two ONNX files; weights over 2 GB go from file to file, never through memory."""
    from splitc import driver

    loaded = load_model(model, shape)
    loaded = driver.simplified(loaded) if simplify else loaded
    loaded = driver.with_kept(loaded, dict.fromkeys(keep or [], "cloud"))
    known = loaded.flow.values.keys() | loaded.flow.by_name.keys()
    found = driver.split_model(loaded, split_names(at, known), out, split_names(exits or [], known))
    print_json(found.to_json()) if json else _show(found)


def _show(found: SplitFiles) -> None:
    for spec in found.cut:
        print(f"crosses  {spec.name}  {spec.dtype} {list(spec.shape)}")
    for name in found.given:
        print(f"given    {name}")
    for name in found.exits:
        print(f"exit     {name}")
    print(f"wire     {found.wire_bytes:,} bytes a sample, before any codec")
    print(f"twice    {found.duplicated_bytes:,} bytes of constants are in both halves")
    proof = (
        "the merged graph is the same computation"
        if found.proof == "expression"
        else "ran on random inputs, bool inputs both ways"
    )
    print(f"equal    {proof}; {found.arithmetic.text}")
    print(f"{found.head}  {found.tail}")
    for note in found.notes:
        say(f"note: {note}.")
