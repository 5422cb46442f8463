"""Packets in work: memory and places that each of them holds until its answer was taken."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from splitc.errors import UsageError
from splitc.runtime.server.room import Room
from splitc.runtime.server.turns import TurnOwner


@dataclass(eq=False)
class Held:
    """What one packet holds; given back once."""

    owner: TurnOwner
    size: int
    _work: PacketWork = field(repr=False)
    _is_held: bool = True

    def give_back(self) -> None:
        """Its answer was taken, or nobody wants it any more."""
        if self._is_held:
            self._is_held = False
            self._work.give(self)


class PacketWork:
    """Bounds what is worked at: bytes in all and by client, packets by client.

    Args:
        total_bytes: Of packets, features and answers.
        packets: Of one client at once.
    """

    def __init__(self, total_bytes: int, packets: int) -> None:
        self._bytes = Room(total_bytes)
        self._packets = Room(sys.maxsize, packets)

    @property
    def held_bytes(self) -> int:
        """Set aside now."""
        return self._bytes.taken

    async def hold(self, owner: TurnOwner, size: int) -> Held:
        """Set so much aside for a packet, waiting until it is there.

        Raises:
            UsageError: More than one client ever gets.
        """
        if size > self._bytes.most:
            raise UsageError(
                f"answering this packet takes up to {size >> 20} MB; this server gives {self._bytes.most >> 20} MB to "
                "one client (--max-memory-mb)."
            )
        await self._packets.take(owner.client)
        try:
            await self._bytes.take(owner.client, size)
        except BaseException:
            self._packets.give(owner.client)
            raise
        return Held(owner, size, self)

    def give(self, held: Held) -> None:
        """As :meth:`Held.give_back`."""
        self._bytes.give(held.owner.client, held.size)
        self._packets.give(held.owner.client)
