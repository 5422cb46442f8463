"""Recipes with the components that this version has: read, with every default spelled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from splitc.backends import BACKENDS
from splitc.codec import ENTROPY_CODERS, PARTS, PROFILES, QUANTIZERS, TEMPORALS, CodecSpec, table_faults, with_profile
from splitc.device import device_names
from splitc.recipe import Known, Recipe
from splitc.recipe import load_recipe as read_recipe
from splitc.tasks import TASKS, option_faults


def load_recipe(path: str | Path, overrides: Sequence[str] = (), base: Path | None = None) -> Recipe:
    """Read a recipe, knowing which components this version has.

    Args:
        path: The TOML file.
        overrides: ``key=value`` texts.
        base: Folder that relative paths refer to; by default the file's own.

    Raises:
        RecipeError: The file or its contents are wrong; one line a fault.
        CapabilityError: Something in it is not built in this version.
    """
    known = Known(
        quantizers=list(QUANTIZERS),
        temporals=list(TEMPORALS),
        entropy_coders=list(ENTROPY_CODERS),
        backends=list(BACKENDS),
        devices=device_names(),
        tasks=TASKS,
        task_faults=lambda name, table: option_faults(TASKS.load(name), table),
        codec_faults=table_faults,
        profiles={name: partial(with_profile, name) for name in PROFILES},
    )
    return read_recipe(path, overrides, base=base, known=known)


def codec_spec(recipe: Recipe) -> CodecSpec:
    """The recipe's [codec] as the codec room takes it.

    Raises:
        UsageError: A value or combination that its parts refuse, or an option that none of them has.
    """
    return CodecSpec(**recipe.codec.model_dump(include={*PARTS, *recipe.codec.options}))


def with_defaults(recipe: Recipe) -> Recipe:
    """The recipe with every option of its codec's components spelled, as the lock will hold it.

    Raises:
        UsageError: A value that they refuse, or an option that none of them has.
    """
    return recipe.model_copy(
        update={"codec": recipe.codec.model_copy(update=codec_spec(recipe).resolved().model_dump())}
    )


def predicts(recipe: Recipe) -> bool:
    """Whether samples are consecutive frames to the codec."""
    return recipe.codec.temporal != "none"
