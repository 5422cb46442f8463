"""Tasks of other packages, found by the entry points of what is installed.

    [project.entry-points."splitc.tasks"]
    pose = "my_package.pose:Pose"

A task is only ever named, in a recipe or a bundle, and its code comes from an installed package. Folders that are on
the module path but are no place of installed packages (the current one, a bundle) are not searched.
"""

from __future__ import annotations

import site
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions

from splitc.errors import UsageError
from splitc.registry import Registry
from splitc.tasks.task import Task

GROUP = "splitc.tasks"


class TaskRegistry(Registry[Task]):
    """Splitc's tasks and those of installed packages; splitc's own names stay its own."""

    def __iter__(self) -> Iterator[str]:
        self._add_installed()
        return super().__iter__()

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            self._add_installed()
        return super().__contains__(name)

    def _known(self, name: str) -> str:
        """Packages are looked through when a name is not splitc's.

        Raises:
            UsageError: Unknown name, or two packages claim it.
        """
        if not super().__contains__(name):
            claims = self._add_installed().get(name, set())
            if len(claims) > 1:
                raise UsageError(f"task {name!r}: claimed by {' and '.join(sorted(claims))}; uninstall one of them.")
        return super()._known(name)

    def _add_installed(self) -> dict[str, set[str]]:
        """Add what one package claims; returns all claims."""
        found = installed_tasks()
        for name, targets in found.items():
            if len(targets) == 1 and not super().__contains__(name):
                self.add(name, next(iter(targets)))
        return found


def installed_tasks() -> dict[str, set[str]]:
    """Name of a task -> ``module:Class``, by the packages installed in this environment; nothing is imported."""
    found: dict[str, set[str]] = {}
    for package in distributions(path=places_of_packages()):
        for entry in package.entry_points.select(group=GROUP):
            found.setdefault(entry.name, set()).add(entry.value.partition("[")[0].strip())
    return found


def places_of_packages() -> list[str]:
    """Folders into which packages are installed."""
    paths = sysconfig.get_paths()
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return list(dict.fromkeys([paths["purelib"], paths["platlib"], *site.getsitepackages(), *user]))
