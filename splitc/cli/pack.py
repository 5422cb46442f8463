"""``splitc pack MODEL --out FILE`` and ``splitc unpack FILE``: weights to a container and back, bit for bit."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.weights import WeightTensor


@app.command()
def pack(
    model: Annotated[Path, typer.Argument(help="An ONNX file.")],
    out: Annotated[Path, typer.Option("--out", help="The container, by convention weights.scw.")],
    skeleton: Annotated[
        Path | None, typer.Option("--skeleton", help="Write the graph without its weights here; unpack fills it.")
    ] = None,
    json: Json = False,
) -> None:
    """Pack the weights of a model losslessly, each tensor with its smallest coding."""
    from splitc import driver, graph, passes, weights
    from splitc.files import locked_together, real_path, write_together

    written = [out, *([skeleton] if skeleton else [])]
    driver.refuse_own_files(written, [model])
    if skeleton is not None and real_path(skeleton) == real_path(out):
        raise UsageError(f"{out}: is named for the container and for the skeleton; give each a name of its own.")
    loaded = graph.load(model)
    driver.refuse_own_files(written, loaded.external)
    started = time.perf_counter()
    tensors = passes.weights_of(loaded.ir_model)
    if passes.is_skeleton(loaded.ir_model):
        raise UsageError(f"{model}: is a skeleton, its weights are in a container already; name the model itself.")
    if not tensors:
        raise UsageError(f"{model}: has no weights to pack.")
    files = {out: weights.container_bytes(weights.smallest_items(tensors))}
    if skeleton is not None:
        files[skeleton] = graph.to_bytes(passes.Skeleton()(loaded.ir_model).model)
    with locked_together(files):
        write_together(files)
    document = {
        **_sizes(out, tensors),
        "left_in_graph": passes.unpacked_of(loaded.ir_model),
        "seconds": time.perf_counter() - started,
    }
    print_json(document) if json else _show(document)


def _sizes(container: Path, tensors: Sequence[WeightTensor]) -> dict[str, Any]:
    """Of what was packed; the parts of the ledger sum to the file."""
    from splitc import weights

    with weights.open_container(container) as opened:
        parts = opened.ledger
    before, after = sum(tensor.nbytes for tensor in tensors), sum(parts.values())
    return {
        "container": str(container),
        "tensors": len(tensors),
        "bytes": after,
        "source_bytes": before,
        "ratio": before / after,
        "ledger": parts,
    }


def _show(document: Mapping[str, Any]) -> None:
    """What was packed, in two or three lines."""
    tensors, before, after = (document[key] for key in ("tensors", "source_bytes", "bytes"))
    print(f"{document['container']}: {tensors} tensors, {before:,} -> {after:,} bytes ({document['ratio']:.2f}x)")
    print("  " + ", ".join(f"{part} {size:,}" for part, size in document["ledger"].items() if size))
    if left := document["left_in_graph"]:
        why = "of a subgraph, or of a type not packed"
        print(f"  {len(left)} initializers stay in the graph, such as {left[0]!r}: {why}")


@app.command()
def unpack(
    container: Annotated[Path, typer.Argument(help="A weight container.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="An .onnx with --model, else an .npz; bfloat16 is stored there as its bits, uint16."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option("--model", help="The graph to fill: the model itself, or its skeleton.")
    ] = None,
    json: Json = False,
) -> None:
    """Put the weights of a container into a graph, or into NumPy arrays; every tensor is checked by its hash."""
    from splitc import driver, weights

    driver.refuse_own_files([out], [container, *([model] if model else [])])
    if (out.suffix == ".onnx") != (model is not None) or (model is None and out.suffix != ".npz"):
        raise UsageError(f"{out}: an .onnx needs --model, and without it the tensors go into an .npz.")
    started = time.perf_counter()
    with weights.open_container(container) as opened:
        weights.refuse_deltas(opened)
        wanted = [entry.wanted for entry in opened.header.entries]
        if model is None:
            _write_arrays(out, opened.tensors())
        else:
            _write_model(out, model, opened.tensors())
    document = {
        "output": str(out),
        "tensors": len(wanted),
        "bytes": sum(one.count * one.itemsize for one in wanted),
        "seconds": time.perf_counter() - started,
    }
    print_json(document) if json else print(f"{out}: {len(wanted)} tensors, {document['bytes']:,} bytes")


def _write_arrays(out: Path, tensors: Iterable[WeightTensor]) -> None:
    from splitc.cli.feature_files import write_npz
    from splitc.files import write_file

    arrays = ((tensor.name, tensor.values) for tensor in tensors)
    write_file(out, lambda file: write_npz(file, arrays))


def _write_model(out: Path, model: Path, tensors: Iterable[WeightTensor]) -> None:
    """The graph of ``model`` with these tensors; weights that are too big for one file go beside it."""
    from splitc import driver, graph, passes
    from splitc.errors import GraphError

    loaded = graph.load(model)
    driver.refuse_own_files([out, Path(f"{out}{graph.DATA}")], loaded.external)
    try:
        filled = passes.PutWeights(tensors)(loaded.ir_model).model
    except GraphError as error:
        raise GraphError(f"{model}: {error}") from error
    with graph.model_file(out) as place:
        graph.save(filled, place)
