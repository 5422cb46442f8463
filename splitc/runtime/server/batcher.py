"""Dynamic batching: requests of several clients that wait at the same time run as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from splitc.types import Array, Feeds


@dataclass(frozen=True)
class Ran:
    """One request's share of a run: outputs, milliseconds waited and run, and how many ran together."""

    outputs: dict[str, Array]
    queue_ms: float
    cloud_ms: float
    batch: int


@dataclass
class _Waiting:
    feeds: Feeds
    done: asyncio.Future[Ran]
    since: float = field(default_factory=time.perf_counter)

    @property
    def kind(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """What must agree to run together: every array's size but for axis 0."""
        return tuple((name, array.shape[1:]) for name, array in self.feeds.items())


class Batcher:
    """Runs a network on what waits: at most ``max_batch`` samples at once, the first waits at most ``max_delay_s``.

    Args:
        run: The network; arrays share axis 0.
        pool: Where it runs, one run at a time.
        max_batch: 1 where the network has a fixed batch.
        max_delay_s: How long to wait for company.
        max_waiting: More requests than these wait outside.
    """

    def __init__(
        self,
        run: Callable[[Feeds], dict[str, Array]],
        pool: Executor,
        max_batch: int,
        max_delay_s: float,
        max_waiting: int = 256,
    ) -> None:
        self._run, self._pool = run, pool
        self._max_batch, self._max_delay_s = max_batch, max_delay_s
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(max_waiting)
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, feeds: Feeds) -> Ran:
        """Run one request, alone or with others.

        Raises:
            SplitcError: Whatever the network raises.
        """
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        waiting = _Waiting(feeds, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.done

    async def close(self) -> None:
        """Stop; what waits is cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait().done.cancel()

    async def _work(self) -> None:
        held: _Waiting | None = None
        while True:
            first, held = held or await self._queue.get(), None
            together = [first]
            deadline = first.since + self._max_delay_s
            while len(together) < self._max_batch:
                one = await self._next(deadline)
                if one is None:
                    break
                if one.kind != first.kind:
                    held = one
                    break
                together.append(one)
            await self._run_together([one for one in together if not one.done.cancelled()])

    async def _next(self, deadline: float) -> _Waiting | None:
        """What waits already, or comes before the deadline."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        left = deadline - time.perf_counter()
        if left <= 0:
            return None
        try:
            return await asyncio.wait_for(self._queue.get(), left)
        except asyncio.TimeoutError:
            return None

    async def _run_together(self, waiting: Sequence[_Waiting]) -> None:
        if not waiting:
            return
        begun = time.perf_counter()
        try:
            joined = _joined([one.feeds for one in waiting])
            outputs = await asyncio.get_running_loop().run_in_executor(self._pool, self._run, joined)
            cloud_ms = (time.perf_counter() - begun) * 1e3
            shares = _shares(outputs, [len(next(iter(one.feeds.values()))) for one in waiting])
        except Exception as error:  # belongs to those who wait; this task goes on
            for one in waiting:
                if not one.done.done():
                    one.done.set_exception(error)
            return
        for one, share in zip(waiting, shares, strict=True):
            if not one.done.done():
                one.done.set_result(Ran(share, (begun - one.since) * 1e3, cloud_ms, len(waiting)))


def _joined(feeds: Sequence[Feeds]) -> Feeds:
    if len(feeds) == 1:
        return feeds[0]
    return {name: np.concatenate([one[name] for one in feeds]) for name in feeds[0]}


def _shares(outputs: dict[str, Array], sizes: Sequence[int]) -> list[dict[str, Array]]:
    """Every request's rows of axis 0."""
    if len(sizes) == 1:
        return [outputs]
    ends = np.cumsum(sizes)
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for end, size in zip(ends, sizes, strict=True)
    ]
