"""Lint: what a target would refuse or change in a graph, said before anything is built, with the fix."""

from __future__ import annotations

from splitc.lint.place import TOOLKITS, Place, Toolkit, place_named, places_of
from splitc.lint.rule import Finding, Rule, lint, with_dla
from splitc.lint.table import RULES

__all__ = ["RULES", "TOOLKITS", "Finding", "Place", "Rule", "Toolkit", "lint", "place_named", "places_of", "with_dla"]
