"""Progress for people: a bar on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


def make_watch() -> Bars | Lines:
    """Bars where stderr is a terminal, else one line a stage."""
    return Bars() if sys.stderr.isatty() else Lines()


class Lines:
    """One line when a stage is over; nothing overwrites anything, so a log stays readable."""

    def start(self, title: str, total: int | None) -> None:
        self._title, self._done = title, 0

    def step(self) -> None:
        self._done += 1

    def finish(self, seconds: float) -> None:
        count = f" ({self._done})" if self._done else ""
        print(f"  {self._title + count:<20} {seconds:6.1f} s", file=sys.stderr, flush=True)


class Bars:
    """A live bar for the stage that runs; finished stages stay above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)

    def start(self, title: str, total: int | None) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description:<10}"), BarColumn(30), MofNCompleteColumn())
        self._progress = Progress(*columns, TimeElapsedColumn(), console=self._console)
        self._task: TaskID = self._progress.add_task(title, total=total)
        self._progress.start()

    def step(self) -> None:
        self._progress.advance(self._task)

    def finish(self, seconds: float) -> None:
        task = self._progress.tasks[0]
        self._progress.update(self._task, total=task.total or max(task.completed, 1), completed=task.completed or 1)
        self._progress.stop()
