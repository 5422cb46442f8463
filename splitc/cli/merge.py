"""``splitc merge HEAD TAIL -o FILE``: two halves become one model again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitc.cli.app import Json, app, print_json


@app.command()
def merge(
    head: Annotated[Path, typer.Argument(help="The half that runs first.")],
    tail: Annotated[Path, typer.Argument(help="The half whose inputs are the other's outputs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The ONNX file to write.")],
    json: Json = False,
) -> None:
    """Put two halves of one split back together."""
    from splitc import driver

    merged = driver.merge_models(head, tail, out)
    outputs = [value.name for value in merged.flow.outputs]
    document = {"model": str(out), "nodes": merged.nodes, "parameters": merged.parameters, "outputs": outputs}
    if json:
        print_json(document)
    else:
        print(f"{out}: {merged.nodes} nodes, {merged.parameters / 1e6:.2f} M parameters")
