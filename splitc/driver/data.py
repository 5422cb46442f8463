"""The files that a recipe's [data] names: some to calibrate on, others to verify on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from splitc.driver.recipes import predicts
from splitc.errors import RecipeError
from splitc.recipe import Recipe, hold_out, hold_out_end
from splitc.runtime import find_files

Files: TypeAlias = tuple[list[Path], list[Path]]
"""To calibrate on, and to verify on."""


def plan_files(recipe: Recipe) -> Files:
    """The files of a build; but one alone is enough, since a plan verifies nothing.

    Raises:
        RecipeError: As ``data_files``.
        UsageError: A pattern names nothing.
    """
    if recipe.data.calibration and not recipe.data.verification:
        found = find_files(recipe.data.calibration, recipe.base)
        if len(found) == 1:
            return found, []
    return data_files(recipe)


def training_files(recipe: Recipe, calibration: Sequence[Path], verification: Sequence[Path]) -> list[Path]:
    """Files to train on: the recipe's own, else those to calibrate on; none where nothing is trained.

    Raises:
        RecipeError: A file that verifies is among them.
        UsageError: A pattern names nothing.
    """
    if recipe.recovery is None:
        return []
    if not recipe.recovery.data:
        return list(calibration)
    found = find_files(recipe.recovery.data, recipe.base)
    both = {file.resolve() for file in found} & {file.resolve() for file in verification}
    if both:
        raise RecipeError(f"recovery.data: {min(both).name} verifies; train on other files.")
    return found


def data_files(recipe: Recipe) -> Files:
    """Files to calibrate on and others to verify on; in order, where the codec predicts from frame to frame.

    Raises:
        RecipeError: None to calibrate on, none left to verify on, or a file in both.
        UsageError: A pattern names nothing.
    """
    data = recipe.data
    if not data.calibration:
        raise RecipeError("data.calibration: names no files; a codec is fitted on real samples, never on random ones.")
    calibration = find_files(data.calibration, recipe.base)
    if not data.verification:
        if len(calibration) < 2:
            raise RecipeError(
                "data.calibration: is one file, which cannot verify what it calibrated; name data.verification."
            )
        return hold_out_end(calibration) if predicts(recipe) else hold_out(calibration)
    verification = find_files(data.verification, recipe.base)
    both = {file.resolve() for file in calibration} & {file.resolve() for file in verification}
    if both:
        raise RecipeError(f"data.verification: {min(both).name} is among data.calibration too; verify on other files.")
    return calibration, verification
