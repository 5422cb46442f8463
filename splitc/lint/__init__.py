"""Lint: what a target would refuse or change in a graph, said before anything is built, with the fix."""

from __future__ import annotations

from splitc.lint.place import TOOLKITS, LintTarget, Toolkit, place_named, places_of
from splitc.lint.rule import Finding, LintRule, lint, with_dla
from splitc.lint.table import RULES

__all__ = [
    "RULES",
    "TOOLKITS",
    "Finding",
    "LintRule",
    "LintTarget",
    "Toolkit",
    "lint",
    "place_named",
    "places_of",
    "with_dla",
]
