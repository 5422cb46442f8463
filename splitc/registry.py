"""Components found by name and imported on demand.

A component is its options: a frozen pydantic model whose fields are the recipe's keys.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import ClassVar, Generic, TypeVar, cast

from pydantic import ValidationError

from splitc.errors import CapabilityError, UsageError
from splitc.types import Frozen


class Component(Frozen):
    """One named way of doing something. ``name`` is its registry key."""

    name: ClassVar[str]


C = TypeVar("C", bound=Component)


class Registry(Generic[C]):
    """Name -> class, where the class is imported when it is first asked for.

    Args:
        kind: What the entries are, for messages: "quantizer", "backend".
        entries: ``{"name": "module:Class"}``.
        extras: ``{"name": "extra"}`` for entries whose module needs ``splitc[extra]``.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], extras: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._extras = dict(extras or {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def load(self, name: str) -> type[C]:
        """The class behind ``name``.

        Raises:
            UsageError: Unknown name; the message names the nearest one.
            CapabilityError: The module needs an extra that is not installed.
        """
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}.{nearest(name, self._entries)}")
        module, _, attribute = self._entries[name].partition(":")
        try:
            return cast("type[C]", getattr(importlib.import_module(module), attribute))
        except ImportError as error:
            if name not in self._extras:
                raise
            raise CapabilityError(
                f"{self.kind} {name!r} needs {error.name!r}: pip install 'splitc[{self._extras[name]}]'."
            ) from error

    def make(self, name: str, options: Mapping[str, object]) -> C:
        """Construct the component ``name`` from its options.

        Raises:
            UsageError: Unknown name, unknown option or a value out of range.
        """
        cls = self.load(name)
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise UsageError(f"{self.kind} {name!r}: {where}{first['msg'].removeprefix('Value error, ')}.") from error


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """`` Did you mean 'x'? Known: a, b, x.`` for error messages."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    guess = f" Did you mean {matches[0]!r}?" if matches else ""
    return f"{guess} Known: {', '.join(sorted(known))}."
