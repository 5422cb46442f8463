"""A stranger's report.json: whatever the page cannot show is named before it is drawn, and nothing else is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from test_report_page import numbers

from splitc.report import page, page_fault

ABSENT = object()
VALUES = (None, "x", 0, 10**400, float("inf"), [], {}, ABSENT)
Place = tuple[str | int, ...]


def places(document: Any, here: Place = ()) -> Iterator[Place]:
    """Every value in a document; of a list the first."""
    yield here
    keys = list(document) if isinstance(document, dict) else range(1) if isinstance(document, list) and document else ()
    for key in keys:
        yield from places(document[key], (*here, key))


def changed(document: Any, place: Place, value: object) -> Any:
    if not place:
        return value
    found = copy.deepcopy(document)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return found


def test_any_value_of_another_kind_is_shown_or_named() -> None:
    sound, refused = numbers(), 0
    for place in places(sound):
        for value in VALUES if place else VALUES[:-1]:
            document = changed(sound, place, value)
            if page_fault(document):
                refused += 1
            else:
                page(document)
    assert refused > 500  # of most places


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((), [], "document: Input should be"),
        (("cut",), "x", "cut: Input should be a valid list"),
        (("plan", "points", 0, "wire_ms"), "1", "plan.points.0.wire_ms: Input should be a valid number"),
        (("verification", "payload_bytes_mean"), 0, "verification.payload_bytes_mean: Input should be greater than 0"),
        (("halves", "cloud"), ABSENT, "halves.cloud: Field required"),
        (("plan", "objective"), ABSENT, "plan: Value error, objective is missing, and there are rivals"),
        (("verification", "task"), ABSENT, "verification: Value error, task is missing, and there is a headline"),
    ],
    ids=lambda one: ".".join(map(str, one)) if isinstance(one, tuple) else None,
)
def test_the_fault_names_its_place(place: Place, value: object, words: str) -> None:
    assert page_fault(changed(numbers(), place, value)).startswith(words)


@pytest.mark.parametrize("place", [("verification", "headline"), ("plan", "verdict"), ("task_notes",)])
def test_bundles_of_before_are_shown(place: Place) -> None:
    document = changed(numbers(), place, ABSENT)
    assert page_fault(document) == ""
    assert page(document)
