"""Progress for people: a bar on a terminal, plain lines elsewhere. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


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


@contextmanager
def counted(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Progress of one step of ``total`` equal parts."""
    watch, start = make_watch(), time.perf_counter()
    watch.start(title, total)
    try:
        yield watch.step
    finally:
        watch.finish(time.perf_counter() - start)


@contextmanager
def phases() -> Iterator[Callable[[str, float | None], None]]:
    """Progress of one long step that tells phases and shares: a bar with the time left, or plain lines."""
    if sys.stderr.isatty():
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30), TaskProgressColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            yield _PhaseBar(bar)
    else:
        yield PhaseLines()


class _PhaseBar:
    """The phase that runs."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("start", total=None)

    def __call__(self, phase: str, share: float | None) -> None:
        self._bar.update(self._task, description=phase, total=None if share is None else 1.0, completed=share or 0.0)


class PhaseLines:
    """A line a phase, and one at each quarter of it with the time left at the pace so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase, self._quarter, self._since = "", 0, clock()

    def __call__(self, phase: str, share: float | None) -> None:
        if phase != self._phase:
            self._phase, self._quarter, self._since = phase, 0, self._clock()
            print(f"  {phase}", file=sys.stderr, flush=True)
        if share is not None and int(4 * share) > self._quarter:
            self._quarter = int(4 * share)
            left = (self._clock() - self._since) * (1 - share) / share
            print(f"  {phase}: {share:.0%}, about {left:.0f} s left", file=sys.stderr, flush=True)
