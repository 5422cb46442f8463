"""Two TUN devices and a relay of IP packets between them: what is lost here is lost to the kernels' TCP.

    python tun_relay.py MBPS DELAY_MS JITTER_MS LOSS [TRACE.csv]

Prints both devices' names, then passes packets on until it is killed. A rate of 0 is none: ``tc tbf`` may do it.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import select
import struct
import sys
import time

from shaping import LinkSpec, Shaper

from splitc.device import Link, read_trace

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1500


def open_tun() -> tuple[int, str]:
    """A new device: its file descriptor and name."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    asked = struct.pack("16sH22x", b"splitc%d", IFF_TUN | IFF_NO_PI)
    return device, fcntl.ioctl(device, TUNSETIFF, asked)[:16].rstrip(b"\0").decode()


class Relay:
    """Packets on their way between two devices, by the time they arrive."""

    def __init__(self, ends: tuple[int, int], spec: LinkSpec) -> None:
        start = time.monotonic()
        self._shapers = {ends[0]: Shaper(spec, 1, start), ends[1]: Shaper(spec, 2, start)}
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._count = itertools.count()

    def run(self) -> None:
        """For ever."""
        while True:
            wait = max(0.0, self._flying[0][0] - time.monotonic()) if self._flying else 1.0
            for end in select.select(list(self._other), [], [], wait)[0]:
                self._take(end)
            while self._flying and self._flying[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self._flying)
                _write(end, packet)

    def _take(self, end: int) -> None:
        packet, shaper = os.read(end, MTU + 64), self._shapers[end]
        arrives = None if shaper.is_lost() else shaper.leave_s(time.monotonic(), len(packet))
        if arrives is not None:
            heapq.heappush(self._flying, (arrives, next(self._count), self._other[end], packet))


def _write(end: int, packet: bytes) -> None:
    try:
        os.write(end, packet)
    except OSError:  # the device is down: a packet lost, as on any link
        return


def main() -> None:
    mbps, delay_ms, jitter_ms, loss = map(float, sys.argv[1:5])
    trace = read_trace(sys.argv[5], Link(uplink_mbps=1)) if len(sys.argv) > 5 else None
    (left, left_name), (right, right_name) = open_tun(), open_tun()
    print(left_name, right_name, flush=True)
    Relay((left, right), LinkSpec(mbps or None, delay_ms, jitter_ms, loss, trace)).run()


if __name__ == "__main__":
    main()
