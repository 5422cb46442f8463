"""Which pair a client uses as its link changes: a queue on a slow link, simulated frame by frame."""

from __future__ import annotations

from itertools import pairwise

import pytest

from splitc.runtime.client.ladder import FIRST_HOLD, FRAMES, Ladder

PACKETS = (40_000, 10_000, 2_500)
PERIOD_MS, COMPUTE_MS, DELAY_MS = 30.0, 12.0, 15.0


def drive(ladder: Ladder, bytes_per_ms: float, frames: int) -> list[int]:
    """The rung of every frame of a camera; the link sends one packet after the other."""
    free_at, rungs = 0.0, []
    for index in range(frames):
        at, rung = index * PERIOD_MS, ladder.rung
        free_at = max(free_at, at) + PACKETS[rung] / bytes_per_ms
        ladder.note(rung, free_at - at + DELAY_MS, COMPUTE_MS)
        rungs.append(rung)
    return rungs


@pytest.mark.parametrize(
    ("bytes_per_ms", "wanted"),
    [
        pytest.param(10_000, 0, id="fast"),
        pytest.param(600, 1, id="carries-the-second"),
        pytest.param(120, 2, id="carries-the-last"),
        pytest.param(40, 2, id="carries-none"),
    ],
)
def test_it_settles_on_the_largest_packets_that_flow(bytes_per_ms: float, wanted: int) -> None:
    ladder = Ladder(len(PACKETS))
    rungs = drive(ladder, bytes_per_ms, 3000)
    assert rungs[len(rungs) // 2 :].count(wanted) > 0.8 * len(rungs) / 2
    assert rungs.index(wanted) <= 6 * FRAMES


def test_it_climbs_again_when_the_link_recovers() -> None:
    ladder = Ladder(len(PACKETS))
    drive(ladder, 120, 500)
    assert ladder.rung == 2
    rungs = drive(ladder, 10_000, 10 * FIRST_HOLD * 16)
    assert rungs[-1] == 0


def test_failed_trials_become_rare() -> None:
    ladder = Ladder(len(PACKETS))
    rungs = drive(ladder, 600, 20_000)
    early, late = (sum(a != b for a, b in pairwise(part)) for part in (rungs[:2000], rungs[-2000:]))
    assert late < early


def test_one_pair_never_switches() -> None:
    ladder = Ladder(1)
    for k in range(1, 500):
        ladder.note(0, 1e4 * k, 1.0)
    assert (ladder.rung, ladder.switched) == (0, 0)
