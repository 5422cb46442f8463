"""Room: how much of something that there is little of is taken, in all and by each client."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

ONE_CLIENT = 0.75
"""The largest share of a room that one client may take: the rest stays for others."""


@dataclass(eq=False)
class _Waiting:
    client: str
    amount: int
    done: asyncio.Future[None]


class Room:
    """Bytes, calls or packets.

    Args:
        total: How much there is.
        most: That one client may take; by default :data:`ONE_CLIENT` of it, and at least 1 unit.
    """

    def __init__(self, total: int, most: int | None = None) -> None:
        self.total, self.most = total, max(1, round(total * ONE_CLIENT) if most is None else most)
        self._taken = 0
        self._by_client: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    @property
    def taken(self) -> int:
        """How much is taken now."""
        return self._taken

    def try_take(self, client: str, amount: int = 1) -> bool:
        """Take it if it is there, for this client and before nobody who waits for the same."""
        is_held_up = any(one.client == client or not self._is_own_fault(one) for one in self._waiting)
        if is_held_up or not self._fits(client, amount):
            return False
        self._take(client, amount)
        return True

    async def take(self, client: str, amount: int = 1) -> None:
        """Wait until it is there; ``amount`` is at most :attr:`most`."""
        if self.try_take(client, amount):
            return
        mine = _Waiting(client, amount, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        try:
            await mine.done
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
                self._wake()  # those that waited behind it
            else:
                self.give(client, amount)
            raise

    def give(self, client: str, amount: int = 1) -> None:
        """Give back what was taken."""
        self._taken -= amount
        self._by_client[client] -= amount
        if self._by_client[client] <= 0:
            del self._by_client[client]
        self._wake()

    def _wake(self) -> None:
        """In the order in which they came; one that its own client holds up holds up no other."""
        for one in [one for one in self._waiting if not one.done.done()]:  # others were cancelled, and will leave
            if self._fits(one.client, one.amount):
                self._waiting.remove(one)
                self._take(one.client, one.amount)
                one.done.set_result(None)
            elif not self._is_own_fault(one):
                return

    def _fits(self, client: str, amount: int) -> bool:
        return self._taken + amount <= self.total and self._by_client[client] + amount <= self.most

    def _is_own_fault(self, waiting: _Waiting) -> bool:
        return self._by_client[waiting.client] + waiting.amount > self.most

    def _take(self, client: str, amount: int) -> None:
        self._taken += amount
        self._by_client[client] += amount
