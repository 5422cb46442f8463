"""The emitted repository in a real Triton server: answers of one process, bit for bit, in every layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from e2e_setting import SIDE, build, cli, setting
from triton_server import needs_triton, triton

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeHalf, Sample, run_pair

pytestmark = [needs_triton, pytest.mark.slow]
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")


def samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    still = rng.standard_normal((1, 3, SIDE, SIDE))
    noise = rng.standard_normal((count, 3, SIDE, SIDE)) * 0.05
    return [Sample(f"f{k}", {"image": (still + noise[k : k + 1]).astype(np.float32)}, "clip") for k in range(count)]


def local(bundle: Path, frames: list[Sample]) -> list[dict[str, np.ndarray]]:
    opened = open_bundle(bundle)
    return [answer.outputs for answer in run_pair(EdgeHalf(opened), CloudHalf(opened), frames)]


@pytest.mark.parametrize("temporal", ["none", "difference", "dpcm"])
def test_triton_answers_as_one_process_does(source: Path, tmp_path: Path, temporal: str) -> None:
    """The edge client of splitc, over Triton's stream; frames that are predicted go by their sequence."""
    from splitc.runtime import EdgeClient, Remote

    bundle, frames = tmp_path / "bundle", samples(30)
    assert build(source, bundle, *setting(f"codec.temporal={temporal}")).code == 0
    want = local(bundle, frames)
    with triton(bundle / "cloud/triton/cpu", ["tiny"], tmp_path) as server:
        client = EdgeClient(open_bundle(bundle), Remote(server.grpc))
        for answer, other in zip(client.run(iter(frames)), want, strict=True):
            assert all(np.array_equal(answer.outputs[name], other[name]) for name in other)
        if temporal == "none":
            ask_with_stock_clients(bundle, server.grpc, server.http)


def test_an_exported_and_tuned_repository_answers_so_too(source: Path, tmp_path: Path) -> None:
    from splitc.runtime import EdgeClient, Remote

    bundle, models, frames = tmp_path / "bundle", tmp_path / "models", samples(30)
    assert build(source, bundle).code == 0
    assert cli("triton", bundle, "--out", models).code == 0
    for part in ("decode", "tail"):
        config = models / f"tiny_{part}/config.pbtxt"
        config.write_text(config.read_text().replace("count: 1", "count: 2"))
    want = local(bundle, frames)
    with triton(models, ["tiny"], tmp_path) as server:
        got = list(EdgeClient(open_bundle(bundle), Remote(server.grpc)).run(iter(frames)))
        ask_with_stock_clients(bundle, server.grpc, server.http)
    for answer, other in zip(got, want, strict=True):
        assert all(np.array_equal(answer.outputs[name], other[name]) for name in other)


def ask_with_stock_clients(bundle: Path, address: str, http_address: str) -> None:
    import tritonclient.http as http  # needs tritonclient[http] beside splitc[serve]

    frame, half = samples(1), EdgeHalf(open_bundle(bundle))
    packet = np.frombuffer(half.encode(half.symbols(frame[0].feeds)), np.uint8)
    for kind, at in ((stock, address), (http, http_address)):
        given = kind.InferInput("packet", [len(packet)], "UINT8")
        given.set_data_from_numpy(packet)
        result = kind.InferenceServerClient(at).infer(open_bundle(bundle).name, [given])
        for name, want in local(bundle, frame)[0].items():
            assert np.array_equal(result.as_numpy(name), want)
