"""The pair over a bad link: packets that vanish, seconds of silence. Nothing that was sent goes unanswered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from deadline import START_S, end, killed_after
from e2e_setting import SIDE, cli
from namespaces import CLOUD_ADDRESS, namespaces, why_not

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeHalf, Sample, run_pair

pytest.importorskip("grpc", reason="needs splitc[serve]")

from serving import relayed, serving

from splitc.runtime.client import ClientOptions, EdgeClient, Remote

SPLITC = [sys.executable, "-c", "from splitc.cli import main; main()"]


@pytest.mark.slow
def test_a_twentieth_of_the_packets_lost(bundle: Path, source: Path, tmp_path: Path) -> None:
    """Real IP packets between two kernels' TCP stacks, at 20 Mbit/s and 30 ms."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    images = np.random.default_rng(0).standard_normal((200, 3, SIDE, SIDE)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    with namespaces(20, 15, jitter_ms=5, loss=0.05) as link:
        listen = [*SPLITC, "serve", str(bundle), "--listen", f"{CLOUD_ADDRESS}:8001", "--insecure", "--max-batch", "1"]
        server = subprocess.Popen([*link.cloud, *listen], stderr=subprocess.PIPE, text=True)
        try:
            with killed_after(START_S, server):
                assert "serving tiny" in server.stderr.readline()
            ask = ["run", str(bundle), str(tmp_path / "images.npy"), "--server", f"{CLOUD_ADDRESS}:8001"]
            done = subprocess.run(
                [*link.edge, *SPLITC, *ask, "--insecure", "--json"], capture_output=True, text=True, timeout=100
            )
        finally:
            end(server)
    assert done.returncode == 0, done.stderr
    document, here = json.loads(done.stdout), cli("run", bundle, tmp_path / "images.npy", "--json").document
    assert [(one["input"], one["answer"]) for one in document["results"]] == [
        (one["input"], one["answer"]) for one in here["results"]
    ]
    assert document["counters"]["answered"] == 200
    assert document["stages_ms"]["total"]["p50"] >= 30


def test_two_seconds_of_silence(bundle: Path) -> None:
    images = np.random.default_rng(0).standard_normal((40, 1, 3, SIDE, SIDE)).astype(np.float32)
    frames, got = [Sample(f"f{index}", {"image": image}) for index, image in enumerate(images)], []
    with serving([bundle], max_batch=1) as (address, _), relayed(address) as (relay, thread):
        client = EdgeClient(open_bundle(bundle), Remote(relay.address), ClientOptions(patience_s=20))
        for answer in client.run(iter(frames)):
            got.append(answer)
            if len(got) == 10:
                relay.is_dark = True
                thread.later(2.0, lambda: setattr(relay, "is_dark", False))
    opened = open_bundle(bundle)
    want = list(run_pair(EdgeHalf(opened), CloudHalf(opened), frames))
    assert [one.name for one in got] == [one.name for one in want]
    assert all(np.array_equal(one.outputs["logits"], two.outputs["logits"]) for one, two in zip(got, want, strict=True))
    assert max(answer.ms["total"] for answer in got) >= 1500
