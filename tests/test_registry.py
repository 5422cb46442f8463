"""Registries: entries are found, added, removed, and lack what they lack by name."""

from __future__ import annotations

import pytest

from splitc.errors import CapabilityError, UsageError
from splitc.registry import Component, Registry


class Plain(Component):
    name = "plain"
    size: int = 3


class Needy(Component):
    name = "needy"

    @classmethod
    def require(cls) -> None:
        import no_such_module_at_all  # noqa: F401


def registry() -> Registry[Component]:
    return Registry("thing", {"plain": f"{__name__}:Plain", "needy": f"{__name__}:Needy"}, extras={"needy": "more"})


def test_an_entry_is_added_once_and_removed() -> None:
    things = registry()
    things.add("also", f"{__name__}:Plain")
    assert list(things) == ["plain", "needy", "also"]
    assert things.make("also", {"size": 4}) == Plain(size=4)
    with pytest.raises(UsageError, match=r"thing 'also' is there already \(.*:Plain\); take another name\."):
        things.add("also", f"{__name__}:Needy")
    things.remove("also")
    with pytest.raises(UsageError, match=r"unknown thing 'also'\. Known: needy, plain\."):
        things.remove("also")
    assert list(registry()) == ["plain", "needy"], "registries share nothing"


@pytest.mark.parametrize("target", ["", "module", ":Class", "module:"])
def test_what_names_no_class_is_refused(target: str) -> None:
    with pytest.raises(UsageError, match='does not name a class; write "module:Class"'):
        registry().add("also", target)


def test_options_are_read_where_use_lacks_an_extra() -> None:
    things = registry()
    assert things.read("needy", {}) == Needy()
    for use in (things.load_usable, lambda name: things.make(name, {})):
        with pytest.raises(
            CapabilityError, match=r"thing 'needy' needs 'no_such_module_at_all': pip install 'splitc\[mo"
        ):
            use("needy")


def test_an_import_that_fails_without_an_extra_is_a_bug_and_not_a_refusal() -> None:
    things = registry()
    things.add("broken", "no_such_module_at_all:X")
    with pytest.raises(ImportError):
        things.load("broken")


def test_values_that_are_no_numbers_are_refused() -> None:
    class Scaled(Component):
        name = "scaled"
        scale: float = 1.0

    with pytest.raises(ValueError, match="finite number"):
        Scaled(scale=float("nan"))
