"""``splitc serve`` in a process of its own: where it is, what it said, and what the kernel says of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from deadline import end, first_document
from e2e_setting import SIDE

from splitc.bundle import open_bundle
from splitc.runtime import EdgeHalf, protocol, run_pair
from splitc.runtime.client import Remote
from splitc.runtime.pair import CloudHalf
from splitc.runtime.sources import Sample
from splitc.types import Array

HERE = Path(__file__).parent
MAIN = "from splitc.cli import main; main()"
TOKEN, OTHER_TOKEN = "a-token-for-tests-1", "a-token-that-means-harm"


@dataclass
class ServedProcess:
    """A server that runs: its process, and the document that it began with."""

    process: subprocess.Popen[str]
    document: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.document["address"])

    @property
    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "replace")
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS:"))

    @property
    def threads_and_files(self) -> tuple[int, int]:
        folder = Path(f"/proc/{self.process.pid}")
        return len(list((folder / "task").iterdir())), len(list((folder / "fd").iterdir()))


@contextlib.contextmanager
def served(
    bundles: Sequence[Path], *options: str, program: str = MAIN, shell: str = "exec "
) -> Iterator[ServedProcess]:
    """A server, while the block runs.

    Args:
        bundles: What to serve.
        options: More words for the command.
        program: What Python runs.
        shell: Begins the shell's line: limits, say.
    """
    words = ["serve", *map(str, bundles), "--listen", "127.0.0.1:0", "--json", *options]
    command = ["sh", "-c", f'{shell} "$@"', "sh", sys.executable, "-c", program, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield ServedProcess(process, first_document(process))
    finally:
        end(process)


@contextlib.contextmanager
def attacked(name: str, address: str, seconds: float, token: str = "", message: bytes = b"") -> Iterator[None]:
    """An attacker in a process of its own, behind everything else on this machine's cores."""
    command = ["nice", "-n", "19", sys.executable, str(HERE / "attackers.py"), name, address, str(seconds)]
    process = subprocess.Popen([*command, *([token] if token else [])], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(message)
    process.stdin.close()
    try:
        time.sleep(0.5)  # its first blows
        assert process.poll() is None, f"{name} has ended by itself"
        yield
    finally:
        process.kill()
        process.wait(20)


class Holder:
    """A client with a token that sends one packet after the other, each its own call.

    Attributes:
        ms: Of every answer.
    """

    def __init__(self, bundle: Path, address: str, token: str | None = TOKEN, count: int = 8) -> None:
        opened = open_bundle(bundle)
        images = np.random.default_rng(0).standard_normal((count, 1, 3, SIDE, SIDE)).astype(np.float32)
        self.samples = [Sample(f"f{index}", {"image": image}) for index, image in enumerate(images)]
        self.expected = [one.outputs for one in run_pair(EdgeHalf(opened), CloudHalf(opened), self.samples)]
        half = EdgeHalf(opened)
        packets = []
        for sample in self.samples:
            half.force_keyframe()
            packets.append(half.encode(half.symbols(sample.feeds)))
        self.requests = [
            protocol.packet_request(opened.name, opened.pair_id, str(index), packet)
            for index, packet in enumerate(packets)
        ]
        self.contract = half.contract
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._channel = Remote(address, token=token).open()
        self.ms: list[float] = []

    def ask(self, count: int, timeout_s: float = 20.0) -> None:
        """So many calls; every answer is right.

        Raises:
            grpc.RpcError: One was refused.
        """
        for number in range(count):
            index = number % len(self.requests)
            begun = time.perf_counter()
            reply = self._channel._stub.ModelInfer(self.requests[index], metadata=self._metadata, timeout=timeout_s)
            self.ms.append((time.perf_counter() - begun) * 1e3)
            assert is_same(protocol.outputs_of(reply, self.contract.outputs), self.expected[index])
            time.sleep(0.002)

    def close(self) -> None:
        self._channel.close()


def is_same(got: dict[str, Array], want: dict[str, Array]) -> bool:
    """Rows of a batch differ in the last bits."""
    return got.keys() == want.keys() and all(np.allclose(got[name], want[name], atol=1e-4) for name in want)


def packet_of_rows(bundle: Path, rows: int) -> bytes:
    """A request with so many samples in one packet."""
    opened = open_bundle(bundle)
    half, image = EdgeHalf(opened), np.random.default_rng(1).standard_normal((rows, 3, SIDE, SIDE)).astype(np.float32)
    packet = half.encode(half.symbols({"image": image}))
    return bytes(protocol.packet_request(opened.name, opened.pair_id, "rows", packet).SerializeToString())


def ask_raw(address: str, message: bytes, method: str = "ModelInfer", token: str | None = None) -> grpc.StatusCode:
    """How a call of these bytes ends."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        ask = channel.unary_unary(f"/inference.GRPCInferenceService/{method}", bytes, bytes)
        try:
            ask(message, metadata=[("authorization", f"Bearer {token}")] if token else [], timeout=20)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def counted(server_log: str, what: str) -> int:
    """A counter in the log's last line."""
    for part in server_log.splitlines()[-1].split(", "):
        name, _, value = part.rpartition(" ")
        if name == what:
            return int(value.replace(",", ""))
    return 0


def read_log(server: ServedProcess) -> str:
    """What it wrote, after a SIGTERM."""
    server.process.terminate()
    return server.process.communicate(timeout=30)[1]
