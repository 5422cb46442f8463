"""Names of a cut after preparing: a copy that preparing removed is the value that it copied."""

from __future__ import annotations

from collections.abc import Iterator

from splitc import graph
from splitc.errors import CutError
from splitc.recipe import Recipe

COPIES = frozenset({"Identity", "Dropout"})
"""Operators whose first output is their first input."""


def with_kept_names(recipe: Recipe, source: graph.Model, model: graph.Model) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with the values of ``split.at`` under the names that they have once the model is prepared.

    Args:
        recipe: What the user asked for, in names of ``source``.
        source: The model as it was read.
        model: The same, prepared for the cut.

    Returns:
        The recipe, and a sentence for each name that changed.

    Raises:
        CutError: A value that preparing removed without a copy of it being left.
    """
    if recipe.split.at == "auto":
        return recipe, ()
    kept = {name: _kept(name, source, model) for name in recipe.split.at}
    notes = tuple(f"split.at: {old!r} is a copy of {new!r}, which is cut" for old, new in kept.items() if old != new)
    if not notes:
        return recipe, ()
    split = recipe.split.model_copy(update={"at": tuple(dict.fromkeys(kept.values()))})
    return recipe.model_copy(update={"split": split}), notes


def _kept(name: str, source: graph.Model, model: graph.Model) -> str:
    known = model.flow.values
    if name in known or name not in source.flow.values:
        return name  # where it is unknown, the check of the cut says so, with the nearest name
    found = next((one for one in _copies(name, source) if one in known), None)
    if found is None:
        raise CutError(
            f"cut [{name}]: preparing the model removed value {name!r}, whose operator it computes ahead or joins with "
            "another; cut at the value before or behind it."
        )
    return found


def _copies(name: str, source: graph.Model) -> Iterator[str]:
    """Names of the same numbers: upwards through copies, then downwards."""
    start = value = source.flow.values[name]
    while (node := value.producer()) is not None and node.op_type in COPIES and node.inputs[0] is not None:
        value = node.inputs[0]
        yield value.name or ""
    pending = [value, start]
    while pending:
        for node, place in pending.pop().uses():
            if node.op_type in COPIES and place == 0:
                pending.append(node.outputs[0])
                yield node.outputs[0].name or ""
