"""What dynamic dimensions count as in a plan: sizes that the recipe or the samples tell."""

from __future__ import annotations

from collections.abc import Container

from splitc import graph
from splitc.driver.inputs import Inputs
from splitc.errors import UsageError
from splitc.recipe import Recipe


def usual_sizes(inputs: Inputs) -> dict[str, int]:
    """Of every dynamic dimension but the samples': the recipe's ``opt``, else as in the first sample."""
    places = graph.open_dims(inputs.model.inputs)
    if not places:
        return {}
    feeds = inputs.calibration[0].feeds
    seen = {dim: int(feeds[name].shape[axis]) for dim, (name, axis) in places.items()}
    return seen | _asked(inputs.recipe, seen)


def sizes_of_recipe(recipe: Recipe, model: graph.Model) -> dict[str, int]:
    """The same without samples.

    Raises:
        UsageError: The recipe leaves a size open, which decides what everything costs.
    """
    places = graph.open_dims(model.inputs)
    known = _asked(recipe, places)
    unknown = [dim for dim in places if dim not in known]
    if unknown:
        name = places[unknown[0]][0]
        shape = next(list(spec.shape) for spec in model.inputs if spec.name == name)
        raise UsageError(
            f"input {name!r} {shape} leaves {', '.join(map(repr, unknown))} open, which decides what everything costs: "
            f"give samples (data.calibration, or --data), or a size, such as model.dims = {{ {unknown[0]!r} = 640 }}."
        )
    return known


def _asked(recipe: Recipe, dims: Container[str]) -> dict[str, int]:
    return {name: dim.opt for name, dim in recipe.model.dims.items() if name in dims}
