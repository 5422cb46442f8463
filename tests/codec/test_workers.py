"""Work in several threads: the results of one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from splitc.codec import workers
from splitc.codec.bitstream import StreamLayout, TensorLayout, read_packet, write_packet
from splitc.codec.entropy import ENTROPY_CODERS


def test_results_come_in_order_and_one_item_stays_here() -> None:
    many = workers.THREADED_ELEMENTS
    assert workers.in_order(lambda x: x * x, range(100), many) == [x * x for x in range(100)]
    assert workers.in_order(lambda _: threading.current_thread(), [0], many) == [threading.current_thread()]


def test_few_symbols_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_threads", lambda: 2)
    here = threading.current_thread()
    assert set(workers.in_order(lambda _: threading.current_thread(), range(9), workers.THREADED_ELEMENTS - 1)) == {
        here
    }
    assert here not in workers.in_order(lambda _: threading.current_thread(), range(9), workers.THREADED_ELEMENTS)


def test_the_first_refusal_is_raised() -> None:
    def work(x: int) -> int:
        if x % 3 == 2:
            raise ValueError(str(x))
        return x

    with pytest.raises(ValueError, match=r"^2$"):
        workers.in_order(work, range(10), workers.THREADED_ELEMENTS)


@pytest.mark.parametrize("name", ["rans", "range", "zstd"])
def test_packets_of_many_chunks_are_the_same_with_one_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "THREADED_ELEMENTS", 1)
    x = np.random.default_rng(0).integers(0, 4, (1, 12, 160, 160)).astype(np.uint8)
    coder = ENTROPY_CODERS.make(name, {})
    layout = StreamLayout((TensorLayout((1, 12, 160, 160), 2, coder.open(2, 12, coder.fit([x[0]], 2))),))
    packet = write_packet(layout, [x])
    assert np.array_equal(read_packet(layout, packet).symbols[0], x)
    monkeypatch.setattr(workers, "_threads", lambda: 1)
    assert write_packet(layout, [x]) == packet


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """In a process of its own: a fork beside threads of other libraries may hang for their sake."""
    program = (
        "import os, warnings\n"
        "from splitc.codec import workers\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "work = lambda: workers.in_order(abs, range(4), workers.THREADED_ELEMENTS)\n"
        "work()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if work() == [0, 1, 2, 3] else 1)\n"
        "raise SystemExit(os.waitpid(child, 0)[1])"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
