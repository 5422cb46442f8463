"""Messages that nobody should send: the server refuses them, leaks nothing, and still answers."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from e2e_setting import SIDE, build, setting

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeHalf

pytest.importorskip("grpc", reason="needs splitc[serve]")
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

from serving import Loop, loop, serving_on
from wire_fuzz import Fuzzer, Target

CLIENTS, WARM_UP = 4, 40
STARTED_LATE = 3
"""Threads of the server's bounded pools that a short warm-up may not have needed; a leak is one a message."""
REFUSED_WELL = {"OK", "left", "stream answer", "stream fault", "DATA_LOSS", "INVALID_ARGUMENT", "NOT_FOUND"}
REFUSED_BY_GRPC = {"UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}
"""No such method; too large. UNKNOWN is missing: that is an error nobody caught."""


@pytest.fixture(scope="module")
def video_bundle(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("video") / "video"
    outcome = build(source, out, *setting("name=video", "codec.temporal=dpcm", "codec.gop=50"))
    assert outcome.code == 0, outcome.err
    return out


def target(bundle: Path) -> Target:
    opened, rng = open_bundle(bundle), np.random.default_rng(0)
    half = EdgeHalf(opened)
    images = rng.standard_normal((6, 1, 3, SIDE, SIDE)).astype(np.float32)
    packets = [half.encode(half.symbols({"image": image})) for image in images]
    return Target(opened.name, opened.pair_id, packets)


def fuzzed(address: str, targets: list[Target], count: int, seed: int) -> Counter[str]:
    """What came back, by kind, from all clients."""

    def one(index: int) -> Counter[str]:
        fuzzer = Fuzzer(address, targets, seed + index)
        try:
            fuzzer.send(count // CLIENTS)
        finally:
            fuzzer.close()
        return fuzzer.codes

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(one, range(CLIENTS)), Counter())


async def _tasks() -> int:
    return len(asyncio.all_tasks())


def settled(thread: Loop) -> tuple[int, int]:
    """Tasks and threads once they stay the same for half a second."""
    seen = [(-1, -1)]
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        assert len(seen) < 400, f"tasks and threads do not settle: {seen[-10:]}"
        seen.append((thread.run(_tasks()), threading.active_count()))
        time.sleep(0.05)
    return seen[-1]


def resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


def check(bundles: list[Path], count: int, most_bytes: int) -> None:
    targets = [target(bundle) for bundle in bundles]
    half, first = CloudHalf(open_bundle(bundles[0])), targets[0]
    want = half.answer(half.decode(first.packets[0]))
    limits = {"max_message_bytes": 1 << 20, "max_batch": 4, "call_rate": 0}  # refusals are what it is about
    with loop() as thread, serving_on(thread, bundles, **limits) as (address, _):
        fuzzed(address, targets, WARM_UP, seed=1)
        gc.collect()
        before = settled(thread)
        memory = resident_bytes()
        codes = fuzzed(address, targets, count, seed=random.Random(count).randrange(1 << 30))
        assert not codes.keys() - REFUSED_WELL - REFUSED_BY_GRPC, codes
        assert all(codes[kind] for kind in ("OK", "stream answer", "stream fault", "DATA_LOSS", "INVALID_ARGUMENT"))
        after = settled(thread)
        assert after[0] <= before[0]
        assert after[1] <= before[1] + STARTED_LATE
        gc.collect()
        assert resident_bytes() - memory < most_bytes
        with stock.InferenceServerClient(address) as client:
            given = stock.InferInput("packet", [len(first.packets[0])], "UINT8")
            given.set_data_from_numpy(np.frombuffer(first.packets[0], np.uint8))
            result = client.infer(first.model, [given])
    assert all(np.array_equal(result.as_numpy(name), array) for name, array in want.items())


def test_a_few_hundred_bad_messages(bundle: Path, video_bundle: Path) -> None:
    check([bundle, video_bundle], 600, 32 << 20)


@pytest.mark.slow
def test_many_bad_messages(bundle: Path, video_bundle: Path) -> None:
    check([bundle, video_bundle], 50_000, 64 << 20)
