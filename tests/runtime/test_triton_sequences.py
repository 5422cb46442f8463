"""Decoders of Triton's sequences: kept by correlation id, dropped by count and by time."""

from __future__ import annotations

from typing import Any, cast

import pytest

from splitc.codec import Decoder
from splitc.errors import BundleError
from splitc.runtime.triton.sequences import Sequences
from splitc.runtime.triton.source import check_decoder


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sequences(most: int = 3, idle_s: float = 10.0) -> tuple[Sequences, Clock]:
    clock = Clock()
    return Sequences(lambda: cast("Decoder", object()), most, idle_s, clock), clock


def test_numbers_and_texts_are_sequences_of_their_own() -> None:
    kept, _ = sequences(8)
    keys: list[int | str] = [7, "7", "cam-7", "cam-8"]
    first = [kept.decoder(key, starts=True, ends=False) for key in keys]
    assert len(set(map(id, first))) == 4
    assert [kept.decoder(key, starts=False, ends=False) for key in keys] == first


def test_a_start_begins_anew_and_an_end_forgets() -> None:
    kept, _ = sequences()
    one = kept.decoder(1, starts=True, ends=False)
    assert kept.decoder(1, starts=True, ends=False) is not one
    kept.decoder(1, starts=False, ends=True)
    kept.decoder(2, starts=True, ends=False)
    kept.end(2)
    kept.end("never begun")
    assert len(kept) == 0


def test_the_one_used_longest_ago_goes_first() -> None:
    kept, _ = sequences(most=3)
    decoders = [kept.decoder(key, starts=True, ends=False) for key in (1, 2, 3)]
    assert kept.decoder(1, starts=False, ends=False) is decoders[0]
    kept.decoder(4, starts=True, ends=False)
    assert len(kept) == 3
    assert kept.decoder(1, starts=False, ends=False) is decoders[0]
    assert kept.decoder(2, starts=False, ends=False) is not decoders[1]


def test_what_nobody_uses_is_dropped_in_time() -> None:
    kept, clock = sequences(most=5000, idle_s=10)
    for key in range(2000):
        kept.decoder(key, starts=True, ends=False)
    clock.now = 5
    used = kept.decoder(0, starts=False, ends=False)
    clock.now = 11
    kept.decoder("new", starts=True, ends=False)
    assert len(kept) == 2
    assert kept.decoder(0, starts=False, ends=False) is used


@pytest.mark.parametrize(
    ("batching", "most", "idle_s"),
    [
        ({"oldest": {"max_candidate_sequences": 9}, "max_sequence_idle_microseconds": "3000000"}, 9, 3.0),
        ({"direct": {}}, 256, 20.0),
    ],
)
def test_the_configuration_sets_the_bounds(batching: dict[str, Any], most: int, idle_s: float) -> None:
    found = check_decoder({"sequence_batching": batching}, predicts=True)
    assert found is not None
    assert (found.most, found.idle_s) == (most, idle_s)
    assert check_decoder({}, predicts=False) is None
    with pytest.raises(BundleError, match="put it back"):
        check_decoder({"max_batch_size": 0}, predicts=True)
