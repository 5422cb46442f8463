"""``splitc run BUNDLE INPUT...``: both halves in this process, through the real bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from splitc.cli.app import Json, app, print_json


@app.command()
def run(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    inputs: Annotated[list[str], typer.Argument(help="Pictures, .npy/.npz, folders, globs or package:NAME/GLOB.")],
    threads: Annotated[int, typer.Option(min=1, help="Threads an engine may use.")] = 1,
    json: Json = False,
) -> None:
    """Run pictures through the edge half, the bitstream and the cloud half; print the answers."""
    from splitc.bundle import open_bundle
    from splitc.runtime import CloudHalf, EdgeHalf, Reader, describe, find_files, run_pair

    opened = open_bundle(bundle)
    edge, cloud = EdgeHalf(opened, threads=threads), CloudHalf(opened, threads=threads)
    reader = Reader(edge.contract.inputs, edge.contract.preprocess)
    lines = []
    for answer in run_pair(edge, cloud, reader.samples(find_files(inputs, Path()))):
        said = describe(answer.outputs, edge.contract)
        ms = {stage: round(value, 3) for stage, value in answer.ms.items()}
        lines.append({"input": answer.name, "answer": said, "payload_bytes": answer.bitstream_bytes, "ms": ms})
        if not json:
            text = f"{said['name']} ({said['share']:.0%})" if edge.contract.task == "classification" else str(said)
            stages = " + ".join(f"{stage} {value:.2f}" for stage, value in ms.items() if stage != "total")
            print(f"{answer.name:<24} {text:<28} {answer.bitstream_bytes:>7,} bytes  {ms['total']:.2f} ms = {stages}")
    if json:
        print_json({"results": lines})
