"""What to lint where: a model for the targets that are named, a bundle's halves for those of its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from splitc import graph
from splitc.backends import BACKENDS
from splitc.bundle import Bundle
from splitc.driver.places import device_of
from splitc.driver.recipes import DEVICE_KEYS, load_bundle_recipe
from splitc.driver.write import dynamic_dims
from splitc.lint import RULES, TOOLKITS, Finding, LintTarget, Toolkit, lint, targets_named, targets_of, with_dla
from splitc.recipe import Recipe, TargetSection
from splitc.runtime import read_contract

DEFAULT_TARGETS = tuple(place for name, place in TOOLKITS.items() if name != "tensorrt-8.6")
"""Where a half must compile when its recipe names no TensorRT: every line that is still built for."""


def lint_model(path: Path, targets: Sequence[str], *, dla: bool = False) -> tuple[Finding, ...]:
    """What the targets would refuse in a model; by default every TensorRT line.

    Raises:
        GraphError: The model cannot be read.
        UsageError: An unknown target.
    """
    places = _asked(targets) or DEFAULT_TARGETS
    return lint(graph.load(path).ir_model, path.name, with_dla(places) if dla else places, RULES)


def lint_bundle(bundle: Bundle, base: Path, targets: Sequence[str], *, dla: bool = False) -> tuple[Finding, ...]:
    """What the targets would refuse in the two halves; by default each half's own target.

    Raises:
        GraphError: A half cannot be read.
        RecipeError: The locked recipe cannot be read.
        UsageError: An unknown target or device.
    """
    recipe = load_bundle_recipe(bundle.recipe_path, base, () if targets else DEVICE_KEYS)
    contract = read_contract(bundle)
    dims = dynamic_dims(recipe, contract.inputs, contract.wire)
    found: list[Finding] = []
    for side, path, section in (
        ("edge", bundle.edge_model, recipe.target.edge),
        ("cloud", bundle.cloud_model, recipe.target.cloud),
    ):
        places = _asked(targets) or _recipe_places(recipe, section)
        places = tuple(replace(place, dims=dims) for place in places)
        uses_dla = dla or "dla_core" in section.options
        found += lint(graph.load(path).ir_model, side, with_dla(places) if uses_dla else places, RULES)
    return tuple(found)


def _asked(names: Sequence[str]) -> tuple[LintTarget, ...]:
    return tuple(place for name in names for place in targets_named(name))


def _recipe_places(recipe: Recipe, section: TargetSection) -> tuple[LintTarget, ...]:
    if not BACKENDS.load(section.backend).is_for_gpu:
        return DEFAULT_TARGETS
    device = device_of(recipe, section)
    return targets_of(device, cast("Toolkit", section.backend), section.compute_capabilities or ())
