"""Name, time and show the stages of a build."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Watch(Protocol):
    """Shows progress, one stage at a time."""

    def start(self, title: str, total: int | None) -> None:
        """A stage begins, of ``total`` steps where that is known."""

    def step(self) -> None:
        """One step is done."""

    def finish(self, seconds: float) -> None:
        """The stage is over, well or not."""


@dataclass
class Stages:
    """Names and times the stages of a build."""

    watch: Watch | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, title: str, total: int | None = None) -> Iterator[Callable[[], None]]:
        began = time.perf_counter()
        if self.watch:
            self.watch.start(title, total)
        try:
            yield self.watch.step if self.watch else lambda: None
        finally:
            self.seconds[title] = time.perf_counter() - began
            if self.watch:
                self.watch.finish(self.seconds[title])
