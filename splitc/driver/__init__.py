"""The driver: recipe in, bundle out. ``pipeline.py`` is the sentence; the other modules are its steps.

A room, not a module ``splitc/build.py``: that would take the name of the public function ``splitc.build``.
"""

from __future__ import annotations

from splitc.driver.choose import choose
from splitc.driver.data import data_files
from splitc.driver.inputs import Inputs, find_inputs
from splitc.driver.linting import lint_bundle, lint_model
from splitc.driver.pipeline import Built, build, lowering_request
from splitc.driver.pixels import with_preprocess
from splitc.driver.places import find_places
from splitc.driver.planning import Answer, Question, fit_edge, make_plan, recipe_of_model
from splitc.driver.recipes import codec_spec, load_bundle_recipe, load_recipe, with_defaults
from splitc.driver.simplify import simplified
from splitc.driver.split import SplitFiles, merge_models, refuse_own_files, split_model
from splitc.driver.split_keep import with_kept
from splitc.driver.statistics import cut_stats
from splitc.driver.watch import Stages, Watch
from splitc.driver.write import tool_versions

__all__ = [
    "Answer",
    "Built",
    "Inputs",
    "Question",
    "SplitFiles",
    "Stages",
    "Watch",
    "build",
    "choose",
    "codec_spec",
    "cut_stats",
    "data_files",
    "find_inputs",
    "find_places",
    "fit_edge",
    "lint_bundle",
    "lint_model",
    "load_bundle_recipe",
    "load_recipe",
    "lowering_request",
    "make_plan",
    "merge_models",
    "recipe_of_model",
    "refuse_own_files",
    "simplified",
    "split_model",
    "tool_versions",
    "with_defaults",
    "with_kept",
    "with_preprocess",
]
