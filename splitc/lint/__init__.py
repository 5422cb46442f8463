"""Lint: what a target would refuse or change in a graph, said before anything is built, with the fix."""

from __future__ import annotations

from splitc.lint.rule import Finding, LintRule, lint, with_dla
from splitc.lint.table import RULES
from splitc.lint.target import TOOLKITS, LintTarget, Toolkit, targets_named, targets_of

__all__ = [
    "RULES",
    "TOOLKITS",
    "Finding",
    "LintRule",
    "LintTarget",
    "Toolkit",
    "lint",
    "targets_named",
    "targets_of",
    "with_dla",
]
