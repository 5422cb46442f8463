"""Components found by name and imported on demand.

A component is its options: a frozen pydantic model whose fields are the recipe's keys.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar, Generic, TypeVar, cast

from pydantic import ConfigDict, ValidationError

from splitc.errors import CapabilityError, UsageError
from splitc.types import Frozen


class Component(Frozen):
    """One named way of doing something. ``name`` is its registry key.

    Its fields are its options, and the only place where they are declared: type, range, default and description of
    each. They are scalars, so that TOML, JSON and ``key=value`` can all spell them. None says the same as leaving the
    option out, so an option that takes None has it as default.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    name: ClassVar[str]

    @classmethod
    def require(cls) -> None:
        """Import what using this component takes and reading its options does not; raises ImportError."""

    @classmethod
    def idle(cls, spelled: Collection[str]) -> Mapping[str, str]:
        """Of the options that a recipe spells, those that change nothing beside the others, and why: refusals."""
        return {}


C = TypeVar("C", bound=Component)


class Registry(Generic[C]):
    """Name -> class, where the class is imported when it is first asked for.

    Args:
        kind: What the entries are, for messages: "quantizer", "backend".
        entries: ``{"name": "module:Class"}``.
        extras: ``{"name": "extra"}`` for entries that need ``splitc[extra]``.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], extras: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._extras = dict(extras or {})

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def add(self, name: str, target: str) -> None:
        """Make a component of another package known.

        Args:
            name: The key; the class has it as ``name``.
            target: ``"module:Class"``, as an entry point writes it; imported when it is first asked for.

        Raises:
            UsageError: The name is taken, or ``target`` is not of that form.
        """
        if name in self._entries:
            raise UsageError(f"{self.kind} {name!r} is there already ({self._entries[name]}); take another name.")
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise UsageError(f'{self.kind} {name!r}: {target!r} does not name a class; write "module:Class".')
        self._entries[name] = target

    def remove(self, name: str) -> None:
        """Forget what :meth:`add` added.

        Raises:
            UsageError: Unknown name.
        """
        self._known(name)
        del self._entries[name]

    def packages(self) -> list[str]:
        """Top-level packages that the entries come from, sorted."""
        return sorted({target.partition(":")[0].partition(".")[0] for target in self._entries.values()})

    def load(self, name: str) -> type[C]:
        """The class behind ``name``; its options can be read, and it may lack what using it takes.

        Raises:
            UsageError: Unknown name; the message names the nearest one.
            CapabilityError: The module needs an extra that is not installed.
        """
        module, _, attribute = self._known(name).partition(":")
        try:
            return cast("type[C]", getattr(importlib.import_module(module), attribute))
        except ImportError as error:
            self._refuse_lacking(name, error)
            raise

    def load_usable(self, name: str) -> type[C]:
        """:meth:`load`, of a component that has at hand what using it takes.

        Raises:
            UsageError: Unknown name.
            CapabilityError: It needs an extra that is not installed.
        """
        cls = self.load(name)
        try:
            cls.require()
        except ImportError as error:
            self._refuse_lacking(name, error)
            raise
        return cls

    def make(self, name: str, options: Mapping[str, object]) -> C:
        """Construct the component ``name`` from its options, ready for use.

        Raises:
            UsageError: Unknown name, unknown option or a value out of range.
            CapabilityError: It needs an extra that is not installed.
        """
        self.load_usable(name)
        return self.read(name, options)

    def read(self, name: str, options: Mapping[str, object]) -> C:
        """:meth:`make` where the component is only looked at: it may lack what using it takes.

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

    def _known(self, name: str) -> str:
        if name not in self._entries:
            raise UsageError(f"unknown {self.kind} {name!r}.{nearest(name, self._entries)}")
        return self._entries[name]

    def _refuse_lacking(self, name: str, error: ImportError) -> None:
        """Say which extra an entry that has one is missing; of another the error is a bug."""
        if name in self._extras:
            raise CapabilityError(
                f"{self.kind} {name!r} needs {error.name!r}: pip install 'splitc[{self._extras[name]}]'."
            ) from error


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """`` Did you mean 'x'? Known: a, b, x.`` for error messages."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    guess = f" Did you mean {matches[0]!r}?" if matches else ""
    return f"{guess} Known: {', '.join(sorted(known))}."
