"""A resolved recipe as TOML: every default spelled, nothing of this machine in it."""

from __future__ import annotations

from typing import Any, TypeVar

import tomli_w

from splitc.errors import RecipeError
from splitc.recipe.recipe import Recipe
from splitc.recipe.sections import DataSection, ModelSection, RecoverySection

S = TypeVar("S", ModelSection, DataSection, RecoverySection)


def lock_toml(
    recipe: Recipe,
    model_sha256: str | None = None,
    data_sha256: str | None = None,
    training_sha256: str | None = None,
) -> str:
    """Canonical text that loads back to an equal recipe from the same folder.

    Keys stand in the order of the schema, names inside ``shapes``, ``dims``, ``keep`` and ``options`` sorted. Paths
    stay relative to the folder of the original recipe: load a lock with ``base`` set to that folder, or with the files
    beside it.

    Args:
        recipe: Loaded or made in Python; absolute paths become relative to its base.
        model_sha256: Hash of the model file, written as ``model.sha256``.
        data_sha256: Hash of the data files, written as ``data.sha256``.
        training_sha256: Hash of the files to train on, written as ``recovery.sha256``.

    Raises:
        RecipeError: The recipe pins another hash.
    """
    recipe = recipe.based_at(recipe.base)
    pinned = {
        "model": _pinned("model", recipe.model, model_sha256),
        "data": _pinned("data", recipe.data, data_sha256),
        "recovery": recipe.recovery and _pinned("recovery", recipe.recovery, training_sha256),
    }
    table = recipe.model_copy(update=pinned).model_dump(by_alias=True, exclude_none=True)
    for names in ("shapes", "dims"):
        table["model"][names] = dict(sorted(table["model"][names].items()))
    table["split"]["keep"] = dict(sorted(table["split"]["keep"].items()))
    for target in table["target"].values():
        target["options"] = dict(sorted(target["options"].items()))
    if recipe.data.task_options:
        table["data"][recipe.data.task] = dict(sorted(table["data"][recipe.data.task].items()))
    return tomli_w.dumps(_without_empty(table))


def _pinned(name: str, section: S, found: str | None) -> S:
    """The section with the hash that was found."""
    if found is None:
        return section
    if section.sha256 not in (None, found):
        raise RecipeError(
            f"{name}.sha256: the recipe pins {section.sha256}, found {found}; restore the file or change the pin."
        )
    return section.model_copy(update={"sha256": found})


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Tables with no key left say nothing; lists stay, an empty one too."""
    pruned = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in pruned.items() if value != {}}
