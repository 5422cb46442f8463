"""The pace at which a client's frames reach gRPC: by table, by hostile bytes, and by property."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc.runtime.server.pace import (
    CALL,
    CALLS_AHEAD,
    CREDIT,
    DATA,
    HEADERS,
    MOST_OWED,
    PREFACE_BYTES,
    RESET,
    RST_STREAM,
    SMALL_BYTES,
    SMALL_FRAME,
    TICK_S,
    Budget,
    FrameMeter,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, WINDOW_UPDATE = 6, 8


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(kind: int, size: int) -> bytes:
    return size.to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 1]) + bytes(size)


def test_a_budget_is_a_burst_and_then_a_rate() -> None:
    clock = Clock()
    budget = Budget(10.0, clock=clock)
    assert sum(budget.spend(CALL) for _ in range(1000)) == CALLS_AHEAD
    clock.now = 1.0
    assert sum(budget.spend(CALL) for _ in range(1000)) == 10
    clock.now = 1e6
    assert budget.is_full
    assert sum(budget.spend(CALL) for _ in range(1000)) == CALLS_AHEAD


def test_answers_pay_for_their_calls() -> None:
    """However many, without any time passing."""
    budget = Budget(1.0, clock=Clock())
    for _ in range(10_000):
        assert budget.spend(CALL)
        budget.credit()
    assert budget.is_full


def test_debts_end() -> None:
    clock = Clock()
    budget = Budget(10.0, clock=clock)
    for _ in range(10_000):
        budget.charge(CALL)
    assert not budget.spend(CALL)
    clock.now = MOST_OWED / 10.0 + 0.1
    assert budget.spend(CALL)


def test_no_rate_is_no_bound() -> None:
    budget = Budget(0.0, clock=Clock())
    assert all(budget.spend(CALL) for _ in range(10_000))
    budget.charge(1e9)
    assert budget.spend(CALL)
    assert budget.is_full


@pytest.mark.parametrize(
    ("kind", "size", "most"),
    [
        (HEADERS, 100, CALLS_AHEAD),
        (HEADERS, 16384, CALLS_AHEAD),
        (RST_STREAM, 4, CALLS_AHEAD / RESET),
        (PING, 8, CALLS_AHEAD / SMALL_FRAME),
        (WINDOW_UPDATE, 4, CALLS_AHEAD / SMALL_FRAME),
        (DATA, 0, CALLS_AHEAD / SMALL_FRAME),
        (DATA, SMALL_BYTES - 1, CALLS_AHEAD / SMALL_FRAME),
    ],
)
def test_what_a_frame_costs(kind: int, size: int, most: float) -> None:
    budget, meter, passed = Budget(1.0, clock=Clock()), FrameMeter(), 0
    assert meter.passable(PREFACE, budget) == PREFACE_BYTES
    while meter.passable(frame(kind, size), budget) and not meter.is_held:
        passed += 1
    assert passed == pytest.approx(most, abs=1.5)  # sums of 0.02


def test_large_frames_of_a_message_cost_nothing() -> None:
    budget, meter = Budget(1.0, clock=Clock()), FrameMeter()
    meter.passable(PREFACE, budget)
    for _ in range(20_000):
        assert meter.passable(frame(DATA, SMALL_BYTES), budget) == SMALL_BYTES + 9


@pytest.mark.parametrize("seed", range(20))
def test_every_byte_passes_once_and_in_its_order(seed: int) -> None:
    """Whatever the pieces are that it comes in, and however often the budget is empty meanwhile."""
    rng, clock = random.Random(seed), Clock()
    budget, meter = Budget(100.0, clock=clock), FrameMeter()
    frames = [frame(rng.choice((DATA, HEADERS, PING)), rng.choice((0, 3, 8, 500, 5000))) for _ in range(1000)]
    sent, left, passed, calls = PREFACE + b"".join(frames), b"", bytearray(), 0
    at = 0
    while len(passed) < len(sent):
        piece = sent[at : at + rng.choice((1, 5, 9, 100, 16384))] if not meter.is_held else b""
        at += len(piece)
        left += piece
        size = meter.passable(left, budget)
        passed, left, calls = passed + left[:size], left[size:], calls + 1
        clock.now += 0.1 * meter.is_held
        assert calls < 400_000
    assert bytes(passed) == sent
    assert clock.now > 0


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_are_no_frames_are_followed_all_the_same(seed: int) -> None:
    """gRPC hangs up on them; the meter neither fails nor stands still."""
    rng, budget, meter, left = random.Random(seed), Budget(0.0), FrameMeter(), b""
    for _ in range(200):
        left += rng.randbytes(rng.randrange(1, 2000))
        left = left[meter.passable(left, budget) :]
        assert len(left) < 9


def test_who_waits_goes_on_in_turn() -> None:
    """Two connections of one client, with more to say than it may: each gets its turns, none twice in a row."""
    order: list[str] = []

    async def wait() -> None:
        budget, over = Budget(500.0), asyncio.Event()
        while budget.spend(CALL):
            pass

        def turn(name: str) -> Callable[[], None]:
            def go_on() -> None:
                assert budget.spend(budget._refilled() + CALL)  # all that there is
                order.append(name)
                budget.wait(go_on)
                if len(order) >= 6:
                    over.set()

            return go_on

        for name in "ab":
            budget.wait(turn(name))
        assert not budget.spend(CALL)  # others wait already
        await asyncio.wait_for(over.wait(), 20)

    asyncio.run(wait())
    assert order[:6] == list("ababab")


def test_who_comes_later_puts_nobody_off() -> None:
    """However fast others come: the first goes on after a tick."""

    async def wait() -> bool:
        budget, went = Budget(1000.0), asyncio.Event()
        while budget.spend(CALL):
            pass
        budget.wait(went.set)
        for _ in range(100):
            budget.wait(lambda: None)
            await asyncio.sleep(TICK_S / 10)
        return went.is_set()

    assert asyncio.run(wait())


def test_an_answer_lets_those_go_on_who_wait() -> None:
    async def wait() -> None:
        budget, went = Budget(1e-6), asyncio.Event()
        while budget.spend(CALL):
            pass
        budget.wait(went.set)
        budget.credit(CREDIT)
        await asyncio.wait_for(went.wait(), 20)

    asyncio.run(wait())
