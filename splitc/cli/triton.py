"""``splitc triton BUNDLE --out REPOSITORY``: the cloud half as models of a Triton server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.option_rules import one_of
from splitc.cli.signature import Signers, open_checked
from splitc.errors import UsageError


@app.command()
def triton(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    out: Annotated[Path, typer.Option("--out", help="A Triton model repository; it may hold other models.")],
    variant: Annotated[str, typer.Option("--variant", help="cpu (ONNX Runtime) or gpu (a TensorRT plan).")] = "cpu",
    target: Annotated[
        str | None, typer.Option("--target", help="Of gpu: which TensorRT engine, if the bundle asks for several.")
    ] = None,
    require_signature: Signers = None,
    json: Json = False,
) -> None:
    """Write the cloud half into a Triton model repository; configurations there may be changed."""
    from splitc.runtime import export_triton

    one_of("--variant", variant, ("cpu", "gpu"))
    if target is not None and variant == "cpu":
        raise UsageError("--target: names a TensorRT engine; add --variant gpu.")
    opened = open_checked(bundle, require_signature)
    done = export_triton(opened, out, cast("Literal['cpu', 'gpu']", variant), target)
    script = None if done.script is None else str(done.script)
    if json:
        print_json(
            {"repository": str(out), "variant": variant, "pair_id": opened.pair_id, **asdict(done), "script": script}
        )
        return
    print(f"{out}: {', '.join(done.models)}; clients call {done.models[0]}")
    if done.engine == "to build":
        say(f"The plan is built on the machine that serves, with the TensorRT of its Triton: sh {script}")
