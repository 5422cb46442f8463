"""What all runners share: they know their ports, check feeds before the toolkit sees them, and work until closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from splitc.backends.feeds import bind_dims
from splitc.backends.interface import Interface
from splitc.errors import BackendError
from splitc.types import Array, Feeds, TensorSpec


class CheckedRunner(ABC):
    """A :class:`~splitc.backends.base.Runner` of one toolkit; ``_compute`` is the toolkit's part."""

    def __init__(self, name: str, interface: Interface) -> None:
        """``name`` is that of the file, for messages."""
        self.name = name
        self._interface = interface
        self._is_open = True

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._interface.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._interface.outputs

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """All outputs by name, in the order of the model's.

        Raises:
            BackendError: ``feeds`` do not fit, the toolkit failed, or this runner is closed.
        """
        if not self._is_open:
            raise BackendError(f"{self.name}: this runner is closed; open the file again.")
        return self._compute(feeds, bind_dims(self.inputs, feeds))

    def close(self) -> None:
        """Free what the toolkit holds. May be called more than once."""
        if self._is_open:
            self._is_open = False
            self._free()

    @abstractmethod
    def _compute(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Array]:
        """The outputs of feeds that fit; ``sizes`` are those of the named dynamic dimensions."""

    @abstractmethod
    def _free(self) -> None:
        """Called once."""
