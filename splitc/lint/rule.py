"""A rule is one object: whom it concerns, what it looks for, why, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import onnx_ir as ir

from splitc.lint.target import LintTarget
from splitc.types import Frozen

Verdict: TypeAlias = Literal["refused", "changed", "falls_back"]
"""The build fails; or it succeeds and the engine is not what the graph says; or a node leaves the DLA for the GPU."""


class Hit(NamedTuple):
    """A node, input or output that breaks a rule, and the detail that proves it."""

    node: str
    detail: str


Find: TypeAlias = Callable[[ir.Model, LintTarget], Iterable[Hit]]


@dataclass(frozen=True)
class LintRule:
    """One row of the table.

    Attributes:
        name: Short and stable; scripts match it.
        verdict: What the target does.
        applies: Whether a target has this rule.
        find: The nodes that break it.
        why: The rule, as a sentence.
        fix: What to write instead, as a sentence.
        source: Where the rule is known from: measured, or a document.
    """

    name: str
    verdict: Verdict
    applies: Callable[[LintTarget], bool]
    find: Find
    why: str
    fix: str
    source: str


class Finding(Frozen):
    """One node that one or more targets refuse or change."""

    rule: str
    verdict: Verdict
    graph: str
    node: str
    detail: str
    targets: tuple[str, ...]
    why: str
    fix: str
    source: str

    def sentence(self) -> str:
        """For people, on one line."""
        what = f"{self.verdict.replace('_', ' ')} by {', '.join(self.targets)}"
        return f"{self.graph}: {self.node}: {what}: {self.detail}. {self.why} {self.fix}"


def lint(model: ir.Model, graph: str, targets: Sequence[LintTarget], rules: Sequence[LintRule]) -> tuple[Finding, ...]:
    """Every rule on every target; a finding that several targets share is listed once.

    Args:
        model: Shapes and element types inferred, as :func:`splitc.graph.load` leaves them.
        graph: What to call the graph: ``model.onnx``, ``edge``.
        targets: What it is to compile for.
        rules: The table.

    Returns:
        In the table's order, then the graph's.
    """
    found: dict[tuple[str, Hit], Finding] = {}
    for rule, target, hit in _hits(model, targets, rules):
        known = found.get((rule.name, hit))
        names = (*known.targets, target.name) if known else (target.name,)
        found[rule.name, hit] = _finding(rule, graph, hit, names)
    return tuple(found.values())


def _hits(
    model: ir.Model, targets: Sequence[LintTarget], rules: Sequence[LintRule]
) -> Iterator[tuple[LintRule, LintTarget, Hit]]:
    for rule in rules:
        for target in targets:
            if rule.applies(target):
                for hit in dict.fromkeys(rule.find(model, target)):
                    yield rule, target, hit


def _finding(rule: LintRule, graph: str, hit: Hit, names: tuple[str, ...]) -> Finding:
    facts = {"why": rule.why, "fix": rule.fix, "source": rule.source}
    return Finding(
        rule=rule.name,
        verdict=rule.verdict,
        graph=graph,
        node=hit.node,
        detail=hit.detail,
        targets=tuple(dict.fromkeys(names)),
        **facts,
    )


def with_dla(targets: Sequence[LintTarget]) -> tuple[LintTarget, ...]:
    """The same targets, with the deep learning accelerator asked for."""
    return tuple(replace(target, name=f"{target.name} on DLA", uses_dla=True) for target in targets)
