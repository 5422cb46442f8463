"""The queue between head and wire: order, bounds, and nothing lost."""

from __future__ import annotations

import threading

import pytest

from splitc.runtime import Sample
from splitc.runtime.client.outbox import Outbox, PendingFrame, Talk


def frame(name: str) -> PendingFrame:
    return PendingFrame(Sample(name, {}), [], False, {"read": 0.0, "head": 0.0})


def names(box: Outbox, talk: Talk, count: int) -> list[str]:
    return [box.next_to_send(talk).name for _ in range(count)]


def test_frames_leave_in_order_and_stay_until_answered() -> None:
    box, talk = Outbox(window=3, depth=4), Talk()
    for name in "abc":
        assert box.put(frame(name))
    box.end()
    assert names(box, talk, 3) == ["a", "b", "c"]
    for index in (1, 0, 2):
        assert not box.is_done
        box.answered(box.find(index))
    assert box.is_done
    assert box.next_to_send(talk) is None


def test_what_was_sent_and_not_answered_is_sent_again() -> None:
    box, first, second = Outbox(window=3, depth=4), Talk(), Talk()
    for name in "abcd":
        box.put(frame(name))
    assert names(box, first, 3) == ["a", "b", "c"]
    box.answered(box.find(1))
    box.hang_up(first)
    assert box.next_to_send(first) is None
    assert names(box, second, 3) == ["a", "c", "d"]
    assert [box.find(index).tries for index in (0, 2, 3)] == [2, 2, 1]


def test_a_full_window_holds_back_and_a_full_queue_holds_up() -> None:
    box, talk = Outbox(window=1, depth=1), Talk()
    box.put(frame("a"))
    assert names(box, talk, 1) == ["a"]
    box.put(frame("b"))
    assert box.next_to_send(talk, timeout_s=0.01) is None
    putting = threading.Thread(target=box.put, args=(frame("c"),), daemon=True)
    putting.start()
    putting.join(0.05)
    assert putting.is_alive()
    box.answered(box.find(0))
    assert names(box, talk, 1) == ["b"]
    putting.join(5)
    assert not putting.is_alive()


def test_taking_a_frame_makes_room_at_once() -> None:
    """Not only once one is answered: the head would wait for the network."""
    box, done = Outbox(window=4, depth=1), threading.Event()
    box.put(frame("a"))
    putting = threading.Thread(target=lambda: (box.put(frame("b")), done.set()), daemon=True)
    putting.start()
    assert not done.wait(0.05)
    assert names(box, Talk(), 1) == ["a"]
    assert done.wait(5)


def test_closing_lets_go_of_who_puts() -> None:
    box, results = Outbox(window=1, depth=1), []
    box.put(frame("a"))
    putting = threading.Thread(target=lambda: results.append(box.put(frame("b"))), daemon=True)
    putting.start()
    box.close()
    putting.join(5)
    assert results == [False]


def test_late_frames_make_room_for_new_ones() -> None:
    box, talk = Outbox(window=1, depth=2, drops_late=True), Talk()
    for name in "abcde":
        assert box.put(frame(name))
    assert (names(box, talk, 1), box.dropped) == (["d"], 3)
    box.hang_up(talk)  # d is to be sent again, and is not late
    box.put(frame("f"))
    assert box.next_to_send(Talk()).name == "d"


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_events_loses_a_frame(seed: int) -> None:
    import random

    chance, box, talk, got = random.Random(seed), Outbox(window=4, depth=3), Talk(), []
    waiting, under_way = [str(k) for k in range(200)], []
    while not box.is_done:
        step = chance.random()
        if step < 0.4 and waiting and len(box_waiting(box)) < 3:
            box.put(frame(waiting.pop(0)))
            if not waiting:
                box.end()
        elif step < 0.7 and (one := box.next_to_send(talk, 0)) is not None:
            under_way.append(one)
        elif step < 0.75:
            box.hang_up(talk)
            talk, under_way = Talk(), []
        elif step < 0.8 and under_way:
            box.send_again(under_way.pop(chance.randrange(len(under_way))))
        elif under_way:
            one = under_way.pop(chance.randrange(len(under_way)))
            box.answered(one)
            got.append(one.name)
    assert sorted(got, key=int) == [str(k) for k in range(200)]


def box_waiting(box: Outbox) -> list[PendingFrame]:
    return box._waiting
