"""``splitc verify --lint``: what a target would refuse in a graph, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splitc.cli.app import print_json, say
from splitc.errors import CheckFailed


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
        for one in found:
            print(one.sentence())
    if faults:
        raise CheckFailed(f"{place}: {len(faults)} findings; the first: {faults[0].sentence()}")
    say(f"{place}: nothing that a target would refuse.")
