"""A real Triton server in a process of its own. SPLITC_TRITON names the Python of an environment that holds it.

python3 -m venv triton && triton/bin/pip install 'numpy<2' nvidia-pytriton==0.7.0 . && pip install 'tritonclient[http]'
SPLITC_TRITON=$PWD/triton/bin/python pytest tests/e2e/test_triton.py tests/e2e/test_triton_fleet.py
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grpc
import pytest
from deadline import end

PYTHON = os.environ.get("SPLITC_TRITON")
needs_triton = pytest.mark.skipif(not PYTHON, reason="SPLITC_TRITON names no environment with nvidia-pytriton")

WHERE = "import sys, sysconfig; print(sysconfig.get_path('purelib')); print('%d.%d' % sys.version_info[:2])"


@dataclass
class TritonProcess:
    """A server that runs.

    Attributes:
        process: Of the server itself; its models have processes below it.
        log: What it wrote.
        grpc, http, metrics: Addresses.
    """

    process: subprocess.Popen[bytes]
    log: Path
    grpc: str
    http: str
    metrics: str

    @property
    def words(self) -> str:
        """The log so far."""
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """``kill -9``, its models too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)

    def models_mb(self) -> float:
        """Memory of all Python models, less what they share."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return sum(_private_mb(int(one)) for task in tasks for one in task.read_text().split())

    @staticmethod
    def packages() -> Path:
        """Where the environment has its packages."""
        return _places(str(PYTHON))[0]

    @staticmethod
    def numpy(folder: Path) -> Path:
        """A folder with nothing but the environment's NumPy, which Triton's stub imports itself."""
        place = folder / "numpy"
        place.mkdir()
        for path in TritonProcess.packages().glob("numpy*"):
            (place / path.name).symlink_to(path)
        return place


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@cache
def _places(python: str) -> tuple[Path, str]:
    """(site-packages, version) of the environment."""
    said = subprocess.run([python, "-c", WHERE], capture_output=True, text=True, check=True, cwd="/", timeout=60)
    packages, version = said.stdout.split()
    return Path(packages), version


@contextlib.contextmanager
def triton(
    repository: Path | str,
    models: Sequence[str],
    folder: Path,
    *,
    ports: Sequence[int] = (),
    python: str | None = None,
) -> Iterator[TritonProcess]:
    """A server of ``models`` in ``repository``.

    Args:
        repository: As the command gets it; relative to ``folder``.
        models: Loaded explicitly; none: the server starts without any.
        folder: Of the log and the backends.
        ports: gRPC, HTTP, metrics; by default free ones.
        python: Runs the models, by default that of the environment.
    """
    with started(repository, models, folder, ports=ports, python=python) as one:
        wait_until_ready(one)
        yield one


@contextlib.contextmanager
def started(
    repository: Path | str,
    models: Sequence[str],
    folder: Path,
    *,
    ports: Sequence[int] = (),
    python: str | None = None,
) -> Iterator[TritonProcess]:
    """The same, not yet ready."""
    packages, version = _places(str(PYTHON))
    server = packages / "pytriton" / "tritonserver"
    backend = folder / "backends" / "python"
    if not backend.exists():
        shutil.copytree(server / "backends" / "python", backend)
        shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    numbers = dict(zip(("grpc", "http", "metrics"), ports or [free_port() for _ in range(3)], strict=True))
    command = [str(server / "bin" / "tritonserver"), f"--model-repository={repository}"]
    command += [f"--backend-directory={backend.parent}", "--model-control-mode=explicit", "--exit-timeout-secs=10"]
    command += [f"--load-model={name}" for name in models]
    command += [f"--{kind}-{what}" for kind, port in numbers.items() for what in ("address=127.0.0.1", f"port={port}")]
    environment = {
        "PATH": f"{Path(python or str(PYTHON)).parent}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
        "OMP_NUM_THREADS": "1",
    }
    log = folder / f"triton-{numbers['grpc']}.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=folder, env=environment, start_new_session=True
        )
    one = TritonProcess(process, log, *(f"127.0.0.1:{numbers[kind]}" for kind in ("grpc", "http", "metrics")))
    try:
        yield one
    finally:
        if process.poll() is None:
            one.stop()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        end(process)


def wait_until_ready(one: TritonProcess, seconds: float = 60) -> None:
    for _ in range(int(seconds * 5)):
        assert one.process.poll() is None, one.words[-4000:]
        with contextlib.suppress(grpc.FutureTimeoutError), grpc.insecure_channel(one.grpc) as channel:
            grpc.channel_ready_future(channel).result(timeout=0.2)
            return
    raise AssertionError(one.words[-4000:])


def _private_mb(process: int) -> float:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024
