"""Two network namespaces, one for the edge and one for the cloud, and an emulated link between them.

    edge: 10.77.0.1 ─ tbf ─ TUN ══ tun_relay.py: delay, jitter, loss, trace ══ TUN ─ tbf ─ 10.77.0.2 :cloud

The losses are real: IP packets vanish and the kernels' TCP finds out. Needs root, iproute2 and /dev/net/tun.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RELAY = Path(__file__).with_name("tun_relay.py")
EDGE_ADDRESS, CLOUD_ADDRESS = "10.77.0.1", "10.77.0.2"
BURST_BYTES, QUEUE_MS = 4000, 200


@dataclass(frozen=True)
class Namespaces:
    """Words that start a command in a namespace."""

    edge: tuple[str, ...]
    cloud: tuple[str, ...]


def why_not() -> str | None:
    """What this machine lacks; None: nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip") or not shutil.which("tc") or not os.path.exists("/dev/net/tun"):
        return "needs iproute2 and /dev/net/tun"
    name = f"splitc-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"network namespaces are not allowed: {made.stderr.strip()}" if made.returncode else None


@contextlib.contextmanager
def namespaces(
    mbps: float | None, delay_ms: float, jitter_ms: float = 0.0, loss: float = 0.0, trace: Path | None = None
) -> Iterator[Namespaces]:
    """Both namespaces while the block runs; numbers are of one direction, as of ``shaping.LinkSpec``."""
    names = tuple(f"splitc-{side}-{os.getpid()}" for side in ("edge", "cloud"))
    addresses = EDGE_ADDRESS, CLOUD_ADDRESS
    with contextlib.ExitStack() as ending:
        for name in names:
            _ip("netns", "add", name)
            ending.callback(_ip, "netns", "del", name)
        devices = ending.enter_context(_relay(delay_ms, jitter_ms, loss, trace))
        for name, device, own, other in zip(names, devices, addresses, addresses[::-1], strict=True):
            _ip("link", "set", device, "netns", name)
            _ip("-n", name, "addr", "add", own, "peer", other, "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            if mbps is not None and trace is None:
                _limit(name, device, mbps)
        edge, cloud = (("ip", "netns", "exec", name) for name in names)
        yield Namespaces(edge, cloud)


@contextlib.contextmanager
def _relay(delay_ms: float, jitter_ms: float, loss: float, trace: Path | None) -> Iterator[list[str]]:
    numbers = [str(number) for number in (0, delay_ms, jitter_ms, loss)]
    command = [sys.executable, str(RELAY), *numbers, *([str(trace)] if trace else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split() if process.stdout else []
    finally:
        process.kill()
        process.communicate()


def _limit(name: str, device: str, mbps: float) -> None:
    words = f"tc -n {name} qdisc add dev {device} root tbf rate {mbps * 1e6:.0f}bit"
    subprocess.run([*words.split(), "burst", str(BURST_BYTES), "latency", f"{QUEUE_MS}ms"], check=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
