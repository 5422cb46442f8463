"""Labels by the path of their sample."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import PurePath

from splitc.errors import UsageError
from splitc.tasks.truth import Truth


class LabelTable:
    """Finds the label of each sample: the one whose path is the end of the sample's path.

    ``cat/0.png`` labels ``pictures/cat/0.png`` and never ``pictures/dog/0.png``; ``0.png`` alone labels either, but not
    both. ``more.npz#3`` labels one sample of a file of many.

    Args:
        known: Path of a sample -> its label, or how to read it.
        by_stem: Paths are without their ending: label files that stand beside or instead of pictures.
    """

    def __init__(self, known: Mapping[str, Truth | Callable[[], Truth]], *, by_stem: bool = False) -> None:
        self._known = {os.path.normpath(_plain(path)): label for path, label in known.items()}
        self._by_stem = by_stem
        self._labelled: dict[str, str] = {}
        self._last = ""

    def fresh(self) -> LabelTable:
        """The same labels, none of which was looked for."""
        return LabelTable(self._known, by_stem=self._by_stem)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, file: str, sample: str = "") -> Truth | None:
        """The label of a sample, or None where it is unknown.

        Args:
            file: Path of the file that the sample came from.
            sample: Its name there, where a file holds several: ``more.npz#3``.

        Raises:
            UsageError: Two names that fit, or a name that fits another file too.
        """
        whole = self._without_ending(_plain(os.path.abspath(file)))
        self._last = whole
        one = f"{whole.rpartition('/')[0]}/{sample}" if sample else whole
        names = [name for path in dict.fromkeys((one, whole)) for name in _endings(path) if name in self._known]
        values = [self._known[name] for name in names]
        if any(value is not values[0] and not _is_same(value, values[0]) for value in values):
            said = " and ".join(f"{name!r} is {_shown(self._known[name])}" for name in (names[0], names[-1]))
            raise UsageError(f"labels: {said}, and both name {whole}; keep one.")
        for name in names:
            other = self._labelled.setdefault(name, whole)
            if other != whole:
                raise UsageError(f"labels: {name!r} names both {other} and {whole}; write more of its path.")
        if not values:
            return None
        return values[0]() if callable(values[0]) else values[0]

    def require_match(self) -> None:
        """Raises: UsageError: there are labels, and none was for a sample that was looked for."""
        if self._known and not self._labelled:
            raise UsageError(
                f"labels: none of the {len(self._known)} names, such as {next(iter(self._known))!r}, is the end of a "
                f"sample's path, such as {self._last}; look at the names of the labels."
            )

    def _without_ending(self, path: str) -> str:
        return str(PurePath(path).with_suffix("")) if self._by_stem else path


def _is_same(one: object, other: object) -> bool:
    return isinstance(one, int | frozenset) and one == other


def _shown(value: object) -> str:
    """A class as it is written; of other labels, that they say something."""
    return str(value) if isinstance(value, int) else "labelled"


def _plain(path: str) -> str:
    return path.replace("\\", "/")


def _endings(path: str) -> list[str]:
    """``/a/b/c`` -> ``c``, ``b/c``, ``a/b/c``, ``/a/b/c``."""
    parts = path.split("/")
    return ["/".join(parts[-count:]) for count in range(1, len(parts) + 1)]
