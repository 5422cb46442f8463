"""Whether a recipe's [recovery] can be done here; asked before the first long step."""

from __future__ import annotations

from importlib.util import find_spec

from splitc.driver.recipes import codec_spec, predicts
from splitc.errors import CapabilityError, RecipeError
from splitc.recipe import Recipe


def check_recovery(recipe: Recipe) -> None:
    """Nothing to say where no [recovery] is asked for.

    Raises:
        RecipeError: It asks for nothing, or goes with no codec like this one.
        CapabilityError: PyTorch is missing.
    """
    if recipe.recovery is None:
        return
    if recipe.recovery.bottleneck is None:
        raise RecipeError('recovery: asks for nothing; write bottleneck = "auto", or leave the table out.')
    quantizer = codec_spec(recipe).quantizer
    if quantizer != "step":
        raise RecipeError(
            f'recovery.bottleneck: is trained for even steps, and codec.quantizer is {quantizer!r}; use "step".'
        )
    if predicts(recipe):
        raise RecipeError(
            "recovery.bottleneck: is trained on samples by themselves, and codec.temporal predicts them from each "
            "other; leave one of the two out."
        )
    if find_spec("torch") is None:
        raise CapabilityError("recovery: training needs 'torch': install splitc[train], or leave [recovery] out.")
