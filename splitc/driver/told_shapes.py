"""Shapes of inputs that a network declares none for, as the samples tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from splitc.errors import ShapelessInputs
from splitc.graph import Model
from splitc.recipe import Recipe
from splitc.runtime import array_headers, is_array
from splitc.types import Shape

SAMPLES_DIM = "N"
"""What the samples' axis is called."""


def load_with_told(
    recipe: Recipe, files: Sequence[Path], load: Callable[[Recipe], Model]
) -> tuple[Recipe, Model, tuple[str, ...]]:
    """The model, the recipe with every shape that it needed, and what was taken from the samples.

    Args:
        recipe: As it was read.
        files: Samples; of NumPy files, the header of the first is read.
        load: Loads the recipe's model.

    Raises:
        ShapelessInputs: An input without a shape, and the first sample is no array that has one.
        SplitcError: As ``load``.
    """
    try:
        return recipe, load(recipe), ()
    except ShapelessInputs as error:
        told = _told(error.names, files[:1])
        if not told:
            raise
    shapes = {**recipe.model.shapes, **told}
    sized = recipe.model_copy(update={"model": recipe.model.model_copy(update={"shapes": shapes})})
    notes = tuple(_note(name, shape, files[0]) for name, shape in told.items())
    return sized, load(sized), notes


def _told(names: Sequence[str], files: Sequence[Path]) -> Mapping[str, Shape]:
    """Shapes with a dynamic first axis; none unless every name has one."""
    found: dict[str, Shape] = {
        name: (SAMPLES_DIM, *shape[1:])
        for file in files
        if is_array(file)
        for name, (shape, _) in array_headers(file, names[0]).items()
        if name in names and shape
    }
    return found if len(found) == len(names) else {}


def _note(name: str, shape: Shape, file: Path) -> str:
    text = "x".join(map(str, shape))
    return f"input {name!r} declares no shape; it has that of {file.name}, {text}, unless model.shapes gives another"
