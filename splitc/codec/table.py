"""A recipe's [codec] against the parts that it names: every fault at once, as pydantic describes one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from splitc.codec.parts import PARTS, nobody_has, option_names, options_of
from splitc.codec.spec import CodecSpec
from splitc.errors import UsageError
from splitc.registry import Component, nearest

Names = Mapping[str, str]
"""Component by part."""


def table_faults(table: Mapping[str, Any], other_keys: Collection[str]) -> list[ErrorDetails]:
    """What is wrong with the options in a parsed [codec]; types are taken as written, ``"3"`` is no number.

    Unknown names of parts are the caller's to report; the options of such a part are checked against every component
    of its kind.

    Args:
        table: Keys and values as they were written.
        other_keys: Keys that are no options: names of parts, and what else the table may hold.

    Returns:
        One a fault: ``loc`` is the key, or empty where several keys do not go together.
    """
    names = {part: table.get(part, CodecSpec.model_fields[part].default) for part in PARTS}
    chosen = {part: name for part, name in names.items() if isinstance(name, str) and name in PARTS[part]}
    options = {key: value for key, value in table.items() if key not in other_keys}
    found = [*_foreign(options, chosen, other_keys)]
    for part in PARTS:
        found += _of_part(part, chosen[part], options) if part in chosen else _of_any(part, options)
    if found or len(chosen) < len(PARTS):
        return found
    try:
        CodecSpec(**chosen, **options)
    except UsageError as error:
        return [_fault((), table, str(error))]
    return []


def _foreign(options: Mapping[str, Any], chosen: Names, other_keys: Collection[str]) -> Iterator[ErrorDetails]:
    """Keys that are an option neither of a chosen part nor of any component that an unknown name may mean."""
    possible = {part: [chosen[part]] if part in chosen else list(registry) for part, registry in PARTS.items()}
    known = {key for part, names in possible.items() for name in names for key in PARTS[part].load(name).model_fields}
    for key in options.keys() - known:
        if key in option_names() and len(chosen) == len(PARTS):
            yield _fault((key,), options[key], nobody_has(chosen))
        elif key not in option_names():
            words = f"unknown key {key!r:.80}.{nearest(key, [*other_keys, *option_names()])}"
            yield _fault((key,), options[key], words)


def _of_part(part: str, name: str, options: Mapping[str, Any]) -> list[ErrorDetails]:
    """Faults in the options of a chosen component."""
    registry, its_own = PARTS[part], options_of(part, name, options)
    cls = registry.load(name)
    idle = [_fault((key,), its_own[key], words) for key, words in cls.idle(its_own).items()]
    return idle + [
        error if error["loc"] else _fault((), error["input"], f"{registry.kind} {name!r}: {_said(error)}")
        for error in _errors(cls, its_own)
    ]


def _of_any(part: str, options: Mapping[str, Any]) -> list[ErrorDetails]:
    """Faults in the options of a part whose name is unknown: values that no component of the kind takes."""
    found = []
    for key, value in options.items():
        classes = [cls for cls in map(PARTS[part].load, PARTS[part]) if key in cls.model_fields]
        wrong = [[error for error in _errors(cls, {key: value}) if error["loc"][:1] == (key,)] for cls in classes]
        found += wrong[0] if wrong and all(wrong) else []
    return found


def _errors(cls: type[Component], options: Mapping[str, object]) -> list[ErrorDetails]:
    try:
        cls.model_validate(options, strict=True)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _said(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ")


def _fault(place: tuple[str, ...], value: object, words: str) -> ErrorDetails:
    words = words.rstrip(".")
    return {"type": "value_error", "loc": place, "msg": words, "input": value, "ctx": {"error": words}}
