"""What a network said about one sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from pydantic import JsonValue

from splitc.tasks.placement import Placement

if TYPE_CHECKING:
    from PIL.Image import Image

Document: TypeAlias = dict[str, JsonValue]
"""What JSON can spell."""


class TaskAnswer(ABC):
    """The answer to one sample: a value that describes and draws itself."""

    @abstractmethod
    def describe(self) -> Document:
        """The answer for ``splitc run --json``."""

    is_for_people: ClassVar[bool] = True
    """Whether people can tell a good one from a bad one by looking at it."""
    has_places: ClassVar[bool] = False
    """Whether it says where in the picture something is."""

    @property
    def text(self) -> str:
        """The answer in one short line, for people."""
        return str(self.describe())

    def mapped(self, placement: Placement) -> TaskAnswer:
        """The answer about the picture that the input was made from; what has no place in it stays."""
        return self

    @abstractmethod
    def draw(self, picture: Image) -> Image:
        """A copy of the picture with the answer on it, RGB; needs Pillow. Answers with places are :meth:`mapped`."""


def class_name(index: int, classes: Sequence[str] | None) -> str:
    """``class 3`` where names are unknown."""
    return classes[index] if classes and 0 <= index < len(classes) else f"class {index}"
