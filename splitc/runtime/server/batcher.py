"""Dynamic batching: requests of several clients that wait at the same time run as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from splitc.runtime.server.turns import TurnOwner, Turns
from splitc.types import Array, Feeds

NOBODY = TurnOwner("")


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

    @property
    def rows(self) -> int:
        """Samples."""
        return len(next(iter(self.feeds.values())))


class Batcher:
    """Runs a network on what waits: at most ``max_batch`` samples at once, the first waits at most ``max_delay_s``.

    Clients take turns between runs (:mod:`splitc.runtime.server.turns`): whoever has much to do waits for the others.

    Args:
        run: The network; arrays share axis 0.
        pool: Where it runs, one run at a time.
        max_batch: Samples; 1 where the network has a fixed batch, and every request then runs by itself.
        max_delay_s: How long to wait for company.
    """

    def __init__(
        self, run: Callable[[Feeds], dict[str, Array]], pool: Executor, max_batch: int, max_delay_s: float
    ) -> None:
        self._run, self._pool = run, pool
        self._max_batch, self._max_delay_s = max_batch, max_delay_s
        self._queue: Turns[_Waiting] = Turns()
        self._came = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, feeds: Feeds, owner: TurnOwner = NOBODY) -> Ran:
        """Run one request, alone or with others.

        Raises:
            SplitcError: Whatever the network raises.
        """
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        waiting = _Waiting(feeds, asyncio.get_running_loop().create_future())
        self._queue.put(owner, waiting)
        self._came.set()
        return await waiting.done

    async def close(self) -> None:
        """Stop; what waits is cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        while self._queue:
            self._queue.take()[1].done.cancel()

    async def _work(self) -> None:
        while True:
            together = await self._gathered()
            await self._run_together([one for one in together if not one.done.cancelled()])

    async def _gathered(self) -> list[_Waiting]:
        """What runs next: samples of one kind, in turn."""
        while not self._queue:
            self._came.clear()
            await self._came.wait()
        together = [self._queue.take()[1]]
        deadline, rows = together[0].since + self._max_delay_s, together[0].rows
        while rows < self._max_batch and await self._has_next(deadline):
            owner, one = self._queue.take()
            if one.kind != together[0].kind or rows + one.rows > self._max_batch:
                self._queue.put_back(owner, one)
                break
            together.append(one)
            rows += one.rows
        return together

    async def _has_next(self, deadline: float) -> bool:
        """Whether something waits already, or comes before the deadline."""
        while not self._queue and (left := deadline - time.perf_counter()) > 0:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except asyncio.TimeoutError:
                return False
        return bool(self._queue)

    async def _run_together(self, waiting: Sequence[_Waiting]) -> None:
        if not waiting:
            return
        begun = time.perf_counter()
        try:
            joined = _joined([one.feeds for one in waiting])
            outputs = await asyncio.get_running_loop().run_in_executor(self._pool, self._run, joined)
            cloud_ms = (time.perf_counter() - begun) * 1e3
            shares = _shares(outputs, [one.rows for one in waiting])
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
