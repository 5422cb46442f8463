"""A resolved recipe as TOML: every default spelled, nothing of this machine in it."""

from __future__ import annotations

from typing import Any

import tomli_w

from splitc.errors import RecipeError
from splitc.recipe.recipe import Recipe


def lock_toml(recipe: Recipe, model_sha256: str | None = None, data_sha256: str | None = None) -> str:
    """Canonical text that loads back to an equal recipe from the same folder.

    Keys stand in the order of the schema, names inside ``shapes`` and ``dims`` sorted. Paths stay relative to the
    folder of the original recipe: load a lock with ``base`` set to that folder, or with the files beside it.

    Args:
        recipe: Loaded or made in Python; absolute paths become relative to its base.
        model_sha256: Hash of the model file, written as ``model.sha256``.
        data_sha256: Hash of the data files, written as ``data.sha256``.

    Raises:
        RecipeError: The recipe pins another hash.
    """
    recipe = recipe.based_at(recipe.base)
    table = recipe.model_dump(by_alias=True, exclude_none=True)
    for section, found in (("model", model_sha256), ("data", data_sha256)):
        pinned = table[section].setdefault("sha256", found)
        if found is not None and pinned != found:
            raise RecipeError(
                f"{section}.sha256: the recipe pins {pinned}, found {found}; restore the file or change the pin."
            )
        if pinned is None:
            del table[section]["sha256"]
    for names in ("shapes", "dims"):
        table["model"][names] = dict(sorted(table["model"][names].items()))
    return tomli_w.dumps(_without_empty(table))


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Tables with no key left say nothing; lists stay, an empty one too."""
    pruned = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in pruned.items() if value != {}}
