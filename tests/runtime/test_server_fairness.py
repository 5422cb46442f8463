"""Turns, slots and room: nobody's many requests keep others out."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc.errors import UsageError
from splitc.runtime.server.room import Room
from splitc.runtime.server.turns import FairSlots, TurnOwner, Turns
from splitc.runtime.server.work import PacketWork


def taken(turns: Turns[int]) -> list[tuple[str, int, int]]:
    return [(owner.client, owner.stream, item) for owner, item in (turns.take() for _ in range(len(turns)))]


def test_clients_take_turns_and_so_do_their_streams() -> None:
    turns: Turns[int] = Turns()
    for item in range(4):
        turns.put(TurnOwner("many", 1), item)
    turns.put(TurnOwner("many", 2), 9)
    turns.put(TurnOwner("few", 3), 7)
    assert taken(turns) == [
        ("many", 1, 0),
        ("few", 3, 7),
        ("many", 2, 9),
        ("many", 1, 1),
        ("many", 1, 2),
        ("many", 1, 3),
    ]
    with pytest.raises(IndexError):
        turns.take()


def test_what_is_put_back_comes_first() -> None:
    turns: Turns[int] = Turns()
    for client in ("a", "b"):
        for item in range(2):
            turns.put(TurnOwner(client), item)
    owner, item = turns.take()
    turns.put_back(owner, item)
    assert taken(turns)[0] == ("a", 0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_s_order_is_kept_and_nobody_waits_for_a_second_turn(seed: int) -> None:
    rng, turns, put = random.Random(seed), Turns[int](), Counter[tuple[str, int]]()
    for _ in range(100):
        owner = TurnOwner(rng.choice("abc"), rng.randrange(3))
        turns.put(owner, put[owner])
        put[owner] += 1
    seen, waiting = Counter[tuple[str, int]](), Counter(client for client, _ in put.elements())
    order = taken(turns)
    for client, stream, item in order:
        assert item == seen[client, stream]
        seen[client, stream] += 1
    assert seen == put
    for start in range(0, len(order), 3):
        here = [client for client, _, _ in order[start : start + len(waiting)]]
        left = {client for client, count in waiting.items() if count}
        if len(left) == 3:
            assert len(set(here)) == len(here)
        waiting.subtract(here)


def test_slots_go_round() -> None:
    async def run() -> list[str]:
        slots, served = FairSlots(1), list[str]()

        async def one(client: str) -> None:
            async with slots.held(TurnOwner(client)):
                served.append(client)
                await asyncio.sleep(0)

        await asyncio.gather(*(one(client) for client in "aaaaab"))
        return served

    assert asyncio.run(run())[:3] == ["a", "a", "b"]


def test_a_slot_is_not_lost_with_who_waited_for_it() -> None:
    async def run() -> None:
        slots = FairSlots(1)
        async with slots.held(TurnOwner("a")):
            waiting = [asyncio.create_task(_hold(slots)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
        waiting[1].cancel()  # just when the slot was handed to it
        await asyncio.wait_for(waiting[2], 5)
        await asyncio.wait_for(_hold(slots), 5)

    asyncio.run(run())


async def _hold(slots: FairSlots) -> None:
    async with slots.held(TurnOwner("b")):
        pass


def test_one_client_leaves_room_for_others() -> None:
    room = Room(100)
    assert room.try_take("a", 75)
    assert not room.try_take("a", 1)
    assert room.try_take("b", 25)
    assert not room.try_take("c", 1)
    room.give("a", 75)
    assert room.try_take("c", 75)
    assert room.taken == 100


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_small_room_is_one_client_s_if_nobody_else_is_there(total: int) -> None:
    room = Room(total)
    assert sum(room.try_take("a") for _ in range(total + 1)) == max(1, round(total * 0.75))


def test_who_waits_is_served_in_order_unless_his_own_share_is_full() -> None:
    async def run() -> list[str]:
        room, got = Room(100), list[str]()

        async def take(name: str, client: str, amount: int) -> None:
            await room.take(client, amount)
            got.append(name)

        await room.take("a", 70)
        waiting = [
            asyncio.create_task(take(*one))
            for one in (("a2", "a", 10), ("b1", "b", 40), ("c1", "c", 5), ("b2", "b", 1))
        ]
        await asyncio.sleep(0)
        assert got == []
        assert not room.try_take("d", 1), "b1 waits for what is there"
        room.give("a", 70)
        await asyncio.gather(*waiting)
        return got

    assert asyncio.run(run()) == ["a2", "b1", "c1", "b2"]


@pytest.mark.parametrize("seed", range(10))
def test_room_is_neither_lost_nor_made(seed: int) -> None:
    """Takers that are cancelled at any time leave what they had."""

    async def run() -> None:
        rng, room, most = random.Random(seed), Room(50), 0

        async def one() -> None:
            nonlocal most
            client, amount = rng.choice("abc"), rng.randint(1, 30)
            await room.take(client, amount)
            try:
                most = max(most, room.taken)
                await asyncio.sleep(rng.random() / 1000)
            finally:
                room.give(client, amount)

        tasks = [asyncio.create_task(one()) for _ in range(60)]
        for _ in range(20):
            await asyncio.sleep(rng.random() / 2000)
            rng.choice(tasks).cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert room.taken == 0
        assert most <= 50

    asyncio.run(run())


def test_a_packet_s_memory_is_given_back_once() -> None:
    async def run() -> None:
        work = PacketWork(1000, 2)
        held = [await work.hold(TurnOwner("a"), 100) for _ in range(2)]
        third = asyncio.create_task(work.hold(TurnOwner("a"), 100))
        await asyncio.sleep(0)
        assert not third.done(), "two packets of one client at once"
        assert (await work.hold(TurnOwner("b"), 100)).size == 100
        held[0].give_back()
        held[0].give_back()
        await asyncio.wait_for(third, 5)
        assert work.held_bytes == 300

    asyncio.run(run())


def test_a_packet_that_never_fits_is_refused() -> None:
    async def run() -> None:
        with pytest.raises(
            UsageError, match=r"takes up to 3 MB; this server gives 1 MB to one client \(--max-memory-mb\)"
        ):
            await PacketWork(2 << 20, 2).hold(TurnOwner("a"), 3 << 20)

    asyncio.run(run())
