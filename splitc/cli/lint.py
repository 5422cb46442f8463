"""``splitc verify --lint``: what a target would refuse in a graph, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from splitc.cli.app import print_json, say
from splitc.errors import CheckFailed

if TYPE_CHECKING:
    from splitc.lint import Finding


def print_lint(place: Path, base: Path, targets: Sequence[str], dla: bool, json: bool) -> None:
    """Lint a model or both halves of a bundle and print what was found.

    Raises:
        CheckFailed: Something would be refused or changed; a node that leaves the DLA is no failure.
    """
    from splitc import driver
    from splitc.bundle import open_bundle

    if place.is_dir():
        found = driver.lint_bundle(open_bundle(place), base, targets, dla=dla)
    else:
        found = driver.lint_model(place, targets, dla=dla)
    faults = [one for one in found if one.verdict != "falls_back"]
    if json:
        print_json({"ok": not faults, "findings": [one.model_dump(mode="json") for one in found]})
    else:
        for line in _lines(found):
            print(line)
    if faults:
        raise CheckFailed(f"{place}: {len(faults)} findings; the first: {faults[0].sentence()}")
    say(f"{place}: nothing that a target would refuse.")


def _lines(found: Sequence[Finding]) -> list[str]:
    """One line a kind of finding, in the order of the first of each; nodes beyond the first are counted."""
    kinds: dict[tuple[str, str, tuple[str, ...]], list[Finding]] = {}
    for one in found:
        kinds.setdefault((one.graph, one.rule, one.targets), []).append(one)
    return [_line(same) for same in kinds.values()]


def _line(same: Sequence[Finding]) -> str:
    first = same[0]
    if len(same) == 1:
        return first.sentence()
    return first.model_copy(update={"node": f"{first.node} and {len(same) - 1} more"}).sentence()
