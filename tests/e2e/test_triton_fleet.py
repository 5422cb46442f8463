"""Two real Triton servers behind a real balancer: what operators do to them, and what edges see of it. Slow lane.

``SPLITC_FLEET_ROUNDS=10`` repeats the ends of a server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from balancer import haproxy, nginx
from e2e_setting import build, cli, setting
from edges import ask, ask_all, clip
from triton_server import PYTHON, TritonProcess, free_port, needs_triton, started, triton
from tritonclient.grpc import service_pb2 as oip
from tritonclient.grpc import service_pb2_grpc as oip_grpc

from splitc.bundle import open_bundle
from splitc.runtime import EdgeHalf, protocol

pytestmark = [
    needs_triton,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="needs nginx"),
]
ROUNDS = int(os.environ.get("SPLITC_FLEET_ROUNDS", "1"))
BALANCERS = [
    nginx,
    pytest.param(
        haproxy, marks=pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin"), reason="needs haproxy")
    ),
]


@dataclass(frozen=True)
class Fleet:
    """A bundle whose frames are predicted, two builds of it, and its repository."""

    blue: Path
    green: Path
    models: Path


@pytest.fixture(scope="module")
def fleet(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    folder = tmp_path_factory.mktemp("fleet")
    assert build(source, folder / "blue", *setting("codec.temporal=difference")).code == 0
    assert build(source, folder / "green", *setting("codec.temporal=difference", "codec.bits=3")).code == 0
    assert cli("triton", folder / "blue", "--out", folder / "models").code == 0
    return Fleet(folder / "blue", folder / "green", folder / "models")


@pytest.mark.parametrize("balancer", BALANCERS)
def test_streams_interleave_over_two_servers(fleet: Fleet, tmp_path: Path, balancer: Any) -> None:
    with (
        triton(fleet.models, ["tiny"], tmp_path) as one,
        triton(fleet.models, ["tiny"], tmp_path) as two,
        balancer(tmp_path, one.grpc, two.grpc) as address,
    ):
        assert ask_all([fleet.blue] * 16, address) == 0


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_ends_loses_no_frame(fleet: Fleet, tmp_path: Path, how: str) -> None:
    """SIGTERM and ``kill -9`` of one of two, in turns, and back again."""
    ports = [[free_port() for _ in range(3)] for _ in range(2)]
    with contextlib.ExitStack() as running:
        servers = [running.enter_context(triton(fleet.models, ["tiny"], tmp_path, ports=three)) for three in ports]
        address = running.enter_context(nginx(tmp_path, *(one.grpc for one in servers)))
        for number in range(ROUNDS):
            victim = number % 2

            def during(victim: int = victim) -> None:
                getattr(servers[victim], how)()

            assert ask_all([fleet.blue] * 16, address, 0.05, during) > 0
            servers[victim] = running.enter_context(triton(fleet.models, ["tiny"], tmp_path, ports=ports[victim]))


@pytest.mark.parametrize("balancer", BALANCERS)
def test_blue_becomes_green_under_load(fleet: Fleet, tmp_path: Path, balancer: Any) -> None:
    """One server has the old build, the other the new one; edges of both find theirs behind one address."""
    new = tmp_path / "new"
    assert cli("triton", fleet.green, "--out", new).code == 0
    with (
        triton(fleet.models, ["tiny"], tmp_path) as one,
        triton(new, ["tiny"], tmp_path) as two,
        balancer(tmp_path, one.grpc, two.grpc) as address,
    ):
        ask_all([fleet.blue, fleet.green] * 4, address, 0.02)


def test_one_server_has_two_builds_of_one_name(fleet: Fleet, tmp_path: Path) -> None:
    both, names = tmp_path / "both", []
    for path in (fleet.blue, fleet.green):
        outcome = cli("triton", path, "--out", both, "--by-pair", "--json")
        assert outcome.code == 0
        names.append(outcome.document["models"][0])
    with triton(both, names, tmp_path) as one:
        assert ask_all([fleet.blue, fleet.green] * 2, one.grpc) == 0


def test_every_layout_loads(fleet: Fleet, tmp_path: Path) -> None:
    """Models copied, linked and fetched one by one into a repository that is named relative to the server's folder."""
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copytree(fleet.models / "tiny_decode", mixed / "tiny_decode")
    (mixed / "tiny_tail").symlink_to(fleet.models / "tiny_tail")
    (mixed / "tiny/1").mkdir(parents=True)
    shutil.copy(fleet.models / "tiny/config.pbtxt", mixed / "tiny")
    config = mixed / "tiny_decode/config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 3").replace("20000000", "5000000"))
    with triton("mixed", ["tiny"], tmp_path) as one:
        assert ask_all([fleet.blue] * 6, one.grpc) == 0


def sequence_calls(bundle: Path, address: str) -> Callable[[int | str], None]:
    """Begins a sequence, and leaves it."""
    opened = open_bundle(bundle)
    half = EdgeHalf(opened)
    packet = half.encode(half.symbols(clip(0, 1)[0].feeds))
    stub = oip_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(address))

    def begin(key: int | str) -> None:
        request = protocol.packet_request(opened.name, opened.pair_id, "1", packet)
        field = "string_param" if isinstance(key, str) else "int64_param"
        setattr(request.parameters["sequence_id"], field, key)
        request.parameters["sequence_start"].bool_param = True
        assert isinstance(stub.ModelInfer(request, timeout=60), oip.ModelInferResponse)

    return begin


def test_abandoned_sequences_leave_no_memory(fleet: Fleet, tmp_path: Path) -> None:
    """2,000 beyond those that fill every place; half of them have texts as ids."""
    models = tmp_path / "models"
    shutil.copytree(fleet.models, models)
    config = models / "tiny_decode/config.pbtxt"
    config.write_text(config.read_text().replace("20000000", "1000000"))
    with triton(models, ["tiny"], tmp_path) as one:
        begin = sequence_calls(fleet.blue, one.grpc)
        for number in range(300):
            begin(number + 1)
        before = one.models_mb()
        for number in range(2000):
            begin(f"camera-{number}" if number % 2 else number + 1000)
        after = one.models_mb()
        print(f"\nmodels: {before:.1f} MB with every place taken, {after:.1f} MB after 2,000 more")
        assert abs(after / before - 1) < 0.05
        ask(fleet.blue, one.grpc, 1)


def python_without(folder: Path, *first: Path) -> str:
    """An environment whose packages are those of ``first``, one after the other."""
    place = folder / "environment"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    import subprocess

    subprocess.run([str(PYTHON), "-m", "venv", "--without-pip", str(place)], check=True, timeout=120)
    packages = next(place.glob("lib/python*/site-packages"))
    assert packages.parent.name == f"python{version}"
    (packages / "others.pth").write_text("".join(f"{path}\n" for path in first))
    return str(place / "bin/python")


def words_of_a_failed_start(models: Path, folder: Path, python: str) -> str:
    with started(models, ["tiny"], folder, python=python) as one:
        one.process.wait(120)
        return one.words


def test_a_numpy_that_triton_garbles_is_named(fleet: Fleet, tmp_path: Path) -> None:
    if np.__version__.startswith("1."):
        pytest.skip("this environment has NumPy 1")
    own = Path(np.__file__).parents[1]
    (tmp_path / "numpy2").mkdir()
    for path in own.glob("numpy*"):
        (tmp_path / "numpy2" / path.name).symlink_to(path)
    theirs = TritonProcess.packages()
    python = python_without(tmp_path, tmp_path / "numpy2", theirs, *splitc_of(theirs))
    words = words_of_a_failed_start(fleet.models, tmp_path, python)
    assert f"this Triton garbles the arrays of NumPy {np.__version__}: pip install 'numpy<2'" in words


def splitc_of(packages: Path) -> list[Path]:
    """Where an environment's splitc is, if not among its packages."""
    lines = [line for path in packages.glob("*.pth") for line in path.read_text().splitlines()]
    return [Path(line) for line in lines if (Path(line) / "splitc").is_dir()]


def test_a_missing_package_is_named(fleet: Fleet, tmp_path: Path) -> None:
    words = words_of_a_failed_start(fleet.models, tmp_path, python_without(tmp_path, TritonProcess.numpy(tmp_path)))
    assert "No module named 'splitc': pip install splitc into the Python that runs Triton's models" in words


def test_a_stand_in_plan_is_refused_by_tritons_tensorrt_alone(fleet: Fleet, tmp_path: Path) -> None:
    """As far as no GPU allows: the server parses every configuration of the gpu variant, and asks for its backend."""
    models = tmp_path / "gpu"
    assert cli("triton", fleet.blue, "--out", models, "--variant", "gpu").code == 0
    (models / "tiny_tail/1/model.plan").write_bytes(b"no plan")
    with started(models, ["tiny"], tmp_path) as one:
        one.process.wait(120)
        assert "unable to find backend library for backend 'tensorrt'" in one.words
        assert "failed to load 'tiny_decode'" not in one.words


def test_many_edges_of_two_bundles(fleet: Fleet, bundle: Path, tmp_path: Path) -> None:
    """64 edges over one server, and over two."""
    models = tmp_path / "models"
    shutil.copytree(fleet.models, models)
    assert cli("triton", bundle, "--out", models, "--by-pair").code == 0
    names = ["tiny", next(path.name for path in models.glob("tiny.*") if "_" not in path.name)]
    edges, rates = [fleet.blue, bundle] * 32, []
    with triton(models, names, tmp_path) as one, triton(models, names, tmp_path) as two:
        for count, upstreams in ((1, [one.grpc]), (2, [one.grpc, two.grpc])):
            (tmp_path / str(count)).mkdir()
            with nginx(tmp_path / str(count), *upstreams) as address:
                begun = time.perf_counter()
                ask_all(edges, address)
                rates.append(40 * len(edges) / (time.perf_counter() - begun))
    print(
        f"\n64 edges: {rates[0]:.0f} answers/s of one server, {rates[1]:.0f} of two, on {os.cpu_count()} cores in all"
    )
    assert threading.active_count() < 100
