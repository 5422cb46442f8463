"""Fairness: clients take turns, and so do the streams of one client; nobody's many requests make others wait long."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class TurnOwner(NamedTuple):
    """Whose work something is."""

    client: str
    stream: int = 0


class Turns(Generic[Item]):
    """A queue that serves clients in turn, and each client's streams in turn."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, OrderedDict[int, deque[Item]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, owner: TurnOwner, item: Item) -> None:
        """Behind what the same stream has put."""
        self._clients.setdefault(owner.client, OrderedDict()).setdefault(owner.stream, deque()).append(item)
        self._count += 1

    def put_back(self, owner: TurnOwner, item: Item) -> None:
        """Before everything else: it was taken, and is not wanted yet."""
        streams = self._clients.setdefault(owner.client, OrderedDict())
        streams.setdefault(owner.stream, deque()).appendleft(item)
        streams.move_to_end(owner.stream, last=False)
        self._clients.move_to_end(owner.client, last=False)
        self._count += 1

    def take(self) -> tuple[TurnOwner, Item]:
        """The next one.

        Raises:
            IndexError: There is none.
        """
        if not self._count:
            raise IndexError("nothing waits")
        client, streams = self._clients.popitem(last=False)
        stream, items = streams.popitem(last=False)
        item = items.popleft()
        if items:
            streams[stream] = items
        if streams:
            self._clients[client] = streams
        self._count -= 1
        return TurnOwner(client, stream), item


class FairSlots:
    """So many may work at once; who waits is served in turn.

    Args:
        count: At least one.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: Turns[asyncio.Future[None]] = Turns()

    @contextlib.asynccontextmanager
    async def held(self, owner: TurnOwner) -> AsyncIterator[None]:
        """A slot, while the block runs."""
        await self._taken(owner)
        try:
            yield
        finally:
            self._give()

    async def _taken(self, owner: TurnOwner) -> None:
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.put(owner, mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give()  # it was handed over just then
            raise

    def _give(self) -> None:
        while self._waiting:
            _, next_one = self._waiting.take()
            if not next_one.done():
                next_one.set_result(None)
                return
        self._free += 1
