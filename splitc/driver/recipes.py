"""Recipes with the components that this version has: read, with every default spelled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from splitc.backends import BACKENDS
from splitc.codec import (
    ENTROPY_CODERS,
    PARTS,
    PROFILES,
    QUANTIZERS,
    TEMPORALS,
    TRANSFORMS,
    CodecSpec,
    table_faults,
    with_profile,
)
from splitc.device import device_names
from splitc.errors import RecipeError
from splitc.recipe import Known, Recipe
from splitc.recipe import load_recipe as read_recipe
from splitc.runtime import PACKAGE
from splitc.tasks import TASKS, option_faults

DEVICE_KEYS = ("target.edge.device", "target.cloud.device")
"""Keys of a recipe that may name files of devices."""


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
        transforms=list(TRANSFORMS),
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


def load_bundle_recipe(path: Path, base: Path, reads: Collection[str]) -> Recipe:
    """The recipe in a bundle, which may be a stranger's: what is read of it is in ``base`` or an installed package.

    Args:
        path: ``recipe.lock.toml``.
        base: Folder that its relative paths refer to.
        reads: Keys whose files the caller goes on to read; the files of other keys are not looked at.

    Raises:
        RecipeError: As :func:`load_recipe`, or a path of ``reads`` that leads out of ``base``.
        CapabilityError: As :func:`load_recipe`.
    """
    recipe = load_recipe(path, base=base)
    for key, text in _named_files(recipe):
        if key in reads and _leads_out(text):
            what = "targets" if key in DEVICE_KEYS else "files"
            options = "--target" if key in DEVICE_KEYS else "--data, --model and --labels"
            raise RecipeError(
                f"{path}: {key}: {text!r} leads out of --base, and a bundle's recipe reads nothing else; name the "
                f"{what} yourself with {options}."
            )
    return recipe


def _leads_out(text: str) -> bool:
    inner = text.partition("/")[2] if text.startswith(PACKAGE) else text
    return inner.startswith("/") or ".." in inner.split("/")


def _named_files(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Key and text of everything in a recipe that names files."""
    data = recipe.data
    files = [("model.source", recipe.model.source), ("data.labels", data.labels), ("data.classes", data.classes)]
    files += [("data.calibration", one) for one in data.calibration]
    files += [("data.verification", one) for one in data.verification]
    files += [("recovery.data", one) for one in (recipe.recovery.data if recipe.recovery else ())]
    files += [("link.trace", recipe.link.trace)]
    for side, section in (("edge", recipe.target.edge), ("cloud", recipe.target.cloud)):
        files += [(f"target.{side}.device", section.device), (f"target.{side}.profile", section.profile)]
    yield from ((key, text) for key, text in files if text is not None)


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
