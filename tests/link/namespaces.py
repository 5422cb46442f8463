"""Two network namespaces, one for the edge and one for the cloud, and an emulated link between them.

``namespaces`` works on any Linux:

    edge: 10.77.0.1 ─ tbf ─ TUN ══ tun_relay.py: delay, jitter, loss, trace ══ TUN ─ tbf ─ 10.77.0.2 :cloud

``netem_namespaces`` joins them by a veth pair under the kernel's own emulator, where there is one, without traces.
Either way the losses are real: IP packets vanish and the kernels' TCP finds out. Needs root, iproute2 and /dev/net/tun.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deadline import end, first_line
from tun_relay import open_tun

RELAY = Path(__file__).with_name("tun_relay.py")
EDGE_ADDRESS, CLOUD_ADDRESS = "10.77.0.1", "10.77.0.2"
BURST_BYTES, QUEUE_MS = 4000, 200
COMMAND_S = 30.0


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
    try:
        os.close(open_tun()[0])
    except OSError as error:  # no CAP_NET_ADMIN, or a container that hides the device
        return f"TUN devices are not allowed: {error.strerror}"
    name = f"splitc-try-{os.getpid()}"
    made = _tried("ip", "netns", "add", name)
    _tried("ip", "netns", "del", name)
    return f"network namespaces are not allowed: {made.stderr.strip()}" if made.returncode else None


def has_netem() -> bool:
    """Whether this kernel has its own emulator."""
    with _pair_of_names() as (name, _):
        return _tried(*f"tc -n {name} qdisc add dev lo root netem delay 1ms".split()).returncode == 0


@contextlib.contextmanager
def namespaces(
    mbps: float | None, delay_ms: float, jitter_ms: float = 0.0, loss: float = 0.0, trace: Path | None = None
) -> Iterator[Namespaces]:
    """Both namespaces while the block runs; numbers are of one direction, as of ``shaping.LinkSpec``."""
    with _pair_of_names() as names, _relay(delay_ms, jitter_ms, loss, trace) as devices:
        for name, device in zip(names, devices, strict=True):
            _ip("link", "set", device, "netns", name)
        _set_up(names, devices)
        for name, device in zip(names, devices, strict=True):
            if mbps is not None and trace is None:
                limit = f"rate {mbps * 1e6:.0f}bit burst {BURST_BYTES} latency {QUEUE_MS}ms"
                _tc(name, f"qdisc add dev {device} root tbf {limit}")
        yield _words(names)


@contextlib.contextmanager
def netem_namespaces(mbps: float, delay_ms: float, jitter_ms: float = 0.0, loss: float = 0.0) -> Iterator[Namespaces]:
    """The same through the kernel's emulator."""
    with _pair_of_names() as names:
        devices = ("edge0", "cloud0")
        _ip("-n", names[0], "link", "add", devices[0], "type", "veth", "peer", "name", devices[1], "netns", names[1])
        _set_up(names, devices)
        packets = max(10, int(mbps * 1e6 / 8 * QUEUE_MS / 1e3 / 1500))
        what = f"limit {packets} delay {delay_ms}ms {jitter_ms}ms loss {loss * 100}% rate {mbps * 1e6:.0f}bit"
        for name, device in zip(names, devices, strict=True):
            _tc(name, f"qdisc add dev {device} root netem {what}")
        yield _words(names)


@contextlib.contextmanager
def _pair_of_names() -> Iterator[tuple[str, str]]:
    """Two new namespaces."""
    edge, cloud = (f"splitc-{side}-{os.getpid()}" for side in ("edge", "cloud"))
    with contextlib.ExitStack() as ending:
        for name in (edge, cloud):
            _ip("netns", "add", name)
            ending.callback(_ip, "netns", "del", name)
        yield edge, cloud


def _set_up(names: Sequence[str], devices: Sequence[str]) -> None:
    addresses = EDGE_ADDRESS, CLOUD_ADDRESS
    for name, device, own, other in zip(names, devices, addresses, addresses[::-1], strict=True):
        _ip("-n", name, "addr", "add", own, "peer", other, "dev", device)
        _ip("-n", name, "link", "set", device, "up")
        _ip("-n", name, "link", "set", "lo", "up")


def _words(names: Sequence[str]) -> Namespaces:
    edge, cloud = (("ip", "netns", "exec", name) for name in names)
    return Namespaces(edge, cloud)


@contextlib.contextmanager
def _relay(delay_ms: float, jitter_ms: float, loss: float, trace: Path | None) -> Iterator[list[str]]:
    numbers = [str(number) for number in (0, delay_ms, jitter_ms, loss)]
    command = [sys.executable, str(RELAY), *numbers, *([str(trace)] if trace else [])]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        devices = first_line(process).split()
        if len(devices) != 2:
            raise RuntimeError("the relay between two TUN devices did not start")
        yield devices
    finally:
        end(process)


def _tried(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=COMMAND_S)


def _tc(name: str, words: str) -> None:
    subprocess.run(["tc", "-n", name, *words.split()], check=True, timeout=COMMAND_S)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=COMMAND_S)
