"""Outputs that keep what was read of them: the unsplit network's answer is compared with that of every stage."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TypeVar, cast

from splitc.types import Array, Feeds

Read = TypeVar("Read")


class KeptOutputs(Mapping[str, Array]):
    """Outputs of one sample by name, which must not change any more.

    What a task reads of them is kept as long as they are, and is read once. They equal themselves alone, so that what
    is read of a pair can be kept too.

    Args:
        outputs: The arrays by name.
    """

    def __init__(self, outputs: Feeds) -> None:
        self._arrays = dict(outputs)
        self._readings: dict[Hashable, object] = {}

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def reading(self, key: Hashable, read: Callable[[], Read]) -> Read:
        """What ``read`` gives, or gave before for an equal key."""
        if key not in self._readings:
            self._readings[key] = read()
        return cast(Read, self._readings[key])


def reading(outputs: Feeds, key: Hashable, read: Callable[[], Read]) -> Read:
    """What ``read`` makes of outputs; once for each key where the outputs are :class:`KeptOutputs`."""
    return outputs.reading(key, read) if isinstance(outputs, KeptOutputs) else read()
