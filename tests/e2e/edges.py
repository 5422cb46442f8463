"""Edges at once, each of which knows what one process would answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from e2e_setting import SIDE

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeClient, EdgeHalf, Remote, Sample, run_pair


def clip(seed: int, count: int = 40) -> list[Sample]:
    random = np.random.default_rng(seed)
    still, noise = random.standard_normal((1, 3, SIDE, SIDE)), random.standard_normal((count, 3, SIDE, SIDE)) * 0.05
    return [Sample(f"f{k}", {"image": (still + noise[k : k + 1]).astype(np.float32)}, "clip") for k in range(count)]


def ask(
    bundle: Path, address: str, seed: int, pause_s: float = 0.0, answered: Callable[[], object] = lambda: None
) -> int:
    """One edge: every frame is answered as one process answers it, bit for bit. How often it connected again."""
    opened, frames = open_bundle(bundle), clip(seed)
    want = [answer.outputs for answer in run_pair(EdgeHalf(opened), CloudHalf(opened), frames)]

    def paced() -> Any:
        for frame in frames:
            time.sleep(pause_s)  # as a camera does
            yield frame

    edge = EdgeClient(opened, Remote(address))
    for answer, other in zip(edge.run(paced()), want, strict=True):
        assert all(np.array_equal(answer.outputs[name], other[name]) for name in other), answer.name
        answered()
    return edge.counters.reconnected


def ask_all(
    bundles: Sequence[Path], address: str, pause_s: float = 0.0, during: Callable[[], None] = lambda: None
) -> int:
    """Edges at once, and what happens once each has five answers or so; how often they connected again."""
    begun = threading.Semaphore(0)
    with ThreadPoolExecutor(len(bundles)) as pool:
        asked = [pool.submit(ask, bundle, address, seed, pause_s, begun.release) for seed, bundle in enumerate(bundles)]
        for _ in range(5 * len(bundles)):
            begun.acquire(timeout=120)
        during()
        return sum(one.result(300) for one in asked)
