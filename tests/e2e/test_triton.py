"""The emitted repository in a real Triton server. SPLITC_TRITON names the Python of an environment that holds it:

python3 -m venv triton && triton/bin/pip install 'numpy<2' nvidia-pytriton==0.7.0 . && pip install 'tritonclient[http]'
SPLITC_TRITON=$PWD/triton/bin/python pytest tests/e2e/test_triton.py
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from deadline import end
from e2e_setting import SIDE, build, cli, setting

from splitc.bundle import open_bundle
from splitc.runtime import CloudHalf, EdgeHalf, Sample, run_pair

PYTHON = os.environ.get("SPLITC_TRITON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="SPLITC_TRITON names no environment with nvidia-pytriton")
stock = pytest.importorskip("tritonclient.grpc", reason="needs splitc[serve]")

WHERE = "import sys, sysconfig; print(sysconfig.get_path('purelib')); print('%d.%d' % sys.version_info[:2])"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def triton(bundle: Path, folder: Path, repository: Path | None = None) -> Iterator[tuple[str, str]]:
    """(gRPC address, HTTP address) of a server of ``repository``, by default the bundle's own for CPUs."""
    said = subprocess.run([str(PYTHON), "-c", WHERE], capture_output=True, text=True, check=True, cwd="/", timeout=60)
    packages, version = said.stdout.split()
    server = Path(packages) / "pytriton" / "tritonserver"
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    ports = {kind: free_port() for kind in ("http", "grpc", "metrics")}
    command = [
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository or bundle / 'cloud' / 'triton' / 'cpu'}",
    ]
    command += [f"--backend-directory={backend.parent}", "--model-control-mode=explicit"]
    command += [f"--load-model={open_bundle(bundle).name}"]
    command += [f"--{kind}-{what}" for kind, port in ports.items() for what in ("address=127.0.0.1", f"port={port}")]
    path = f"{Path(str(PYTHON)).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "LD_LIBRARY_PATH": str(Path(packages) / "nvidia_pytriton.libs")}
    log = folder / "triton.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder, env=environment)
    try:
        grpc_address, http_address = (f"127.0.0.1:{ports[kind]}" for kind in ("grpc", "http"))
        wait_until_ready(grpc_address, process, log)
        yield grpc_address, http_address
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        end(process)


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import grpc

    for _ in range(300):
        assert process.poll() is None, log.read_text()[-4000:]
        with contextlib.suppress(grpc.FutureTimeoutError), grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=0.2)
            return
    raise AssertionError(log.read_text()[-4000:])


def samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    still = rng.standard_normal((1, 3, SIDE, SIDE))
    noise = rng.standard_normal((count, 3, SIDE, SIDE)) * 0.05
    return [Sample(f"f{k}", {"image": (still + noise[k : k + 1]).astype(np.float32)}, "clip") for k in range(count)]


def local(bundle: Path, frames: list[Sample]) -> list[dict[str, np.ndarray]]:
    opened = open_bundle(bundle)
    return [answer.outputs for answer in run_pair(EdgeHalf(opened), CloudHalf(opened), frames)]


@pytest.mark.slow
@pytest.mark.parametrize("temporal", ["none", "difference", "dpcm"])
def test_triton_answers_as_one_process_does(source: Path, tmp_path: Path, temporal: str) -> None:
    """The edge client of splitc, over Triton's stream; frames that are predicted go by their sequence."""
    from splitc.runtime import ClientOptions, EdgeClient, Remote

    bundle, frames = tmp_path / "bundle", samples(30)
    assert build(source, bundle, *setting(f"codec.temporal={temporal}")).code == 0
    want = local(bundle, frames)
    with triton(bundle, tmp_path) as (address, http_address):
        client = EdgeClient(open_bundle(bundle), Remote(address), ClientOptions(window=1))
        for answer, other in zip(client.run(iter(frames)), want, strict=True):
            assert all(np.array_equal(answer.outputs[name], other[name]) for name in other)
        if temporal == "none":
            ask_with_stock_clients(bundle, address, http_address)


@pytest.mark.slow
def test_an_exported_and_tuned_repository_answers_so_too(source: Path, tmp_path: Path) -> None:
    from splitc.runtime import EdgeClient, Remote

    bundle, models, frames = tmp_path / "bundle", tmp_path / "models", samples(30)
    assert build(source, bundle).code == 0
    assert cli("triton", bundle, "--out", models).code == 0
    for part in ("decode", "tail"):
        config = models / f"tiny_{part}/config.pbtxt"
        config.write_text(config.read_text().replace("count: 1", "count: 2"))
    want = local(bundle, frames)
    with triton(bundle, tmp_path, models) as (address, http_address):
        got = list(EdgeClient(open_bundle(bundle), Remote(address)).run(iter(frames)))
        ask_with_stock_clients(bundle, address, http_address)
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
