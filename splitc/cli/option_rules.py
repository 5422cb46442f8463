"""Options that need each other, and those that do not go together: refused by name, before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import typer

from splitc.errors import UsageError

SIDES = ("edge", "cloud")
"""What ``--side`` takes."""


@dataclass(frozen=True)
class Needs:
    """An option that says nothing without another.

    Attributes:
        option, other: Names of the command's parameters.
        why: For the message, where it is not plain.
    """

    option: str
    other: str
    why: str = ""

    def faults(self, given: dict[str, str], names: dict[str, str]) -> Iterator[str]:
        """A sentence, if the rule is broken."""
        if self.option in given and self.other not in given:
            option, other = names[self.option], names[self.other]
            yield f"{option} needs {other}{_because(self.why)}; add {other}, or leave {option} out."


@dataclass(frozen=True)
class Excludes:
    """An option beside which others would be ignored."""

    option: str
    others: tuple[str, ...]
    why: str = ""

    def faults(self, given: dict[str, str], names: dict[str, str]) -> Iterator[str]:
        """A sentence, if the rule is broken."""
        found = [given[other] for other in self.others if other in given]
        if self.option in given and found:
            others = " and ".join(found)
            verb = "does" if len(found) == 1 else "do"
            yield f"{others} {verb} not go with {names[self.option]}{_because(self.why)}; leave one of them out."


def check_options(context: typer.Context, rules: Sequence[Needs | Excludes]) -> None:
    """Check the given options against ``rules``; defaults are never at fault.

    Raises:
        UsageError: Every rule that is broken, a sentence each.
    """
    names = {str(one.name): one.opts[0] for one in context.command.params}
    given = {name: option for name, option in names.items() if _is_given(context, name)}
    faults = [fault for rule in rules for fault in rule.faults(given, names)]
    if faults:
        raise UsageError(" ".join(faults))


def one_of(option: str, value: str, known: Sequence[str]) -> None:
    """Raises: UsageError: ``value`` is none of what the option takes."""
    if value not in known:
        raise UsageError(f"{option}: must be {' or '.join(known)}, got {value!r}.")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _because(why: str) -> str:
    return f": {why}" if why else ""
