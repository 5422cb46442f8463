"""How long a client waits for a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from splitc.errors import RemoteError
from splitc.runtime import Sample
from splitc.runtime.client.outbox import Outbox, PendingFrame, Talk
from splitc.runtime.client.patience import FOREIGN_TRIES, LONGEST_PAUSE_S, Patience, answer_limit_s


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tries(patience: Patience, clock: Clock) -> Iterator[float]:
    """Every pause, waited for."""
    while clock.now < 1e6:
        pause_s = patience.next_pause("x:1", "gone", is_endless=False)
        clock.now += pause_s
        yield pause_s


def pauses(patience: Patience, clock: Clock) -> list[float]:
    """Every pause until patience ends."""
    found: list[float] = []
    with pytest.raises(RemoteError, match=r"x:1: no answer for 10\.0 s \(gone\); is splitc serve running there\?"):
        found.extend(tries(patience, clock))
    return found


def test_pauses_double_and_end() -> None:
    clock = Clock()
    found = pauses(Patience(10.0, clock), clock)
    assert found[:6] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
    assert max(found) <= LONGEST_PAUSE_S
    assert sum(found) == pytest.approx(10.0)


def test_the_clock_starts_at_the_first_loss() -> None:
    """An edge without frames for an hour still tries again."""
    clock = Clock()
    patience = Patience(10.0, clock)
    patience.renew()
    clock.now = 3600.0
    assert pauses(patience, clock)[0] == 0.1


def test_a_server_that_owes_nothing_is_not_silent() -> None:
    clock = Clock()
    patience = Patience(1.0, clock)
    for _ in range(20):
        given_s = patience.next_pause("x:1", "idle", is_endless=False)
        clock.now += 600.0
        patience.owed_nothing()
    assert given_s == 1.0  # what is left of the patience, not more


def test_silence_counts_only_while_a_reply_is_waited_for() -> None:
    box, talk = Outbox(2, 2), Talk()
    box.put(PendingFrame(Sample("a", {}), [], False, {}))
    replies = talk.listening(iter("xy"))
    assert box.silent_s(talk) == 0
    next(replies)
    box.next_to_send(talk)
    assert box.silent_s(talk) == 0  # the caller is busy with the reply before
    next(replies)
    with pytest.raises(StopIteration):
        next(replies)
    assert box.silent_s(talk) > 0


def test_time_in_which_an_answer_was_awaited_counts() -> None:
    clock = Clock()
    clock.now = 100.0
    patience = Patience(10.0, clock)
    assert patience.left_s == 10.0
    assert patience.next_pause("x:1", "silent", is_endless=False, silent_s=6.0) == 0.1
    assert patience.left_s == pytest.approx(4.0)
    clock.now += 4.0
    assert patience.left_s == 0.0
    with pytest.raises(RemoteError, match=r"no answer for 10\.0 s"):
        patience.next_pause("x:1", "silent", is_endless=False)


@pytest.mark.parametrize(("patience_s", "limit_s"), [(0.0, 10.0), (0.5, 0.5), (4.0, 4.0), (15.0, 10.0), (60.0, 30.0)])
def test_one_connection_may_owe_an_answer_for_a_part_of_the_patience(patience_s: float, limit_s: float) -> None:
    """All of it where there is little; so that another connection is tried where there is more."""
    assert answer_limit_s(patience_s) == limit_s


def test_a_reply_that_is_no_answer_ends_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("splitc.runtime.client.outbox.now", clock)
    talk = Talk()

    def replies() -> Iterator[str]:
        for reply in "xyz":
            clock.now += 5.0
            yield reply

    waited = []
    for reply in talk.listening(replies()):
        talk.is_answer = reply == "y"
        waited.append(talk.waited_s)
    assert waited == [5.0, 10.0, 5.0]


def test_another_build_is_searched_for_so_often() -> None:
    """With every other turn of the balancer left out, or a client alone would meet the same server each time."""
    patience = Patience(1.0)
    seen = []
    while patience.searches_on:
        seen.append(patience.skips_a_turn)
        patience.met_another()
    assert seen == [False, True] * (FOREIGN_TRIES // 2)
    assert not patience.was_answered
    patience.renew()
    assert patience.was_answered
    assert (patience.searches_on, patience.skips_a_turn) == (True, False)


def test_another_build_is_searched_for_while_patience_lasts() -> None:
    """A server that takes its time to say that it is another one."""
    clock = Clock()
    patience = Patience(4.0, clock)
    for _ in range(2):
        assert patience.searches_on
        clock.now += 2.0
        patience.met_another(2.0)
    assert not patience.searches_on
