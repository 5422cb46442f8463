"""Lists of names on the command line, options of backends, and models named there."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.graph import Model

Shapes = Annotated[
    list[str] | None, typer.Option("--shape", metavar="NAME:1x3x224x224", help="Fix or name an input's dimensions.")
]
Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="INPUT", help="An input, or a glob, that the tail is given as it is."),
]
Simplify = Annotated[
    bool, typer.Option("--simplify", help="Precompute what depends on no input; answers stay bit-identical.")
]


def load_model(model: str, shapes: list[str] | None) -> Model:
    """The ONNX file, or zoo network, with its dynamic dimensions bound.

    Raises:
        UsageError: ``model`` is a folder, or a shape is no shape.
        GraphError: The file is not a sound model.
    """
    from splitc import graph, zoo

    path = zoo.fetch(model) if zoo.is_zoo(model) else Path(model)
    if path.is_dir():
        raise UsageError(f"{model}: is a folder; name the .onnx file in it.")
    return graph.load(path, _parsed(shapes or []))


def split_names(texts: list[str], known: Container[str]) -> list[str]:
    """``a,b`` is two names, unless something is called ``a,b``."""
    return [name for text in texts for name in ([text] if text in known else text.split(",")) if name]


def pairs(texts: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` of each ``--set``; the last of a name counts.

    Raises:
        UsageError: One without a name or a sign.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set: {text!r} is not NAME=VALUE, such as workspace_mb=512.")
        found[name] = value
    return found


def _parsed(texts: list[str]) -> dict[str, tuple[int | str, ...]]:
    from splitc.recipe import parse_shapes

    try:
        shapes: dict[str, tuple[int | str, ...]] = parse_shapes(texts)  # type: ignore[assignment]  # texts give a table
        return shapes
    except ValueError as error:
        raise UsageError(f"--shape: {error}.") from error
