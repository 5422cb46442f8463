"""FORMAT.md section 6: tables, then payload. Symbols are lists of planes, each a row-major list."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from reference.neighbours import neighbours


@dataclass
class Tables:
    """rANS tables as read."""

    bits: int
    contexts: int
    class_of_channel: list[int]
    activity: tuple[int, int]
    thresholds: list[list[int]]  # by level
    frequencies: list[list[int]]  # by class * (contexts + 1) + context

    @classmethod
    def read(cls, data: bytes) -> Tables:
        magic, version, bits, classes, contexts, channels = struct.unpack_from("<4sBBBBH", data)
        assert (magic, version) == (b"SRNS", 1)
        at = 10
        class_of_channel = list(data[at : at + channels])
        at += channels
        low, high, *level_contexts = struct.unpack_from("<HH3B", data, at)
        at += 7
        thresholds = []
        for of_level in level_contexts:
            thresholds.append(list(struct.unpack_from(f"<{of_level - 1}H", data, at)))
            at += 2 * (of_level - 1)
        count = classes * (contexts + 1)
        rows = [list(struct.unpack_from(f"<{1 << bits}H", data, at + 2 * t * (1 << bits))) for t in range(count)]
        assert all(sum(row) == 4096 and min(row) > 0 for row in rows)
        return cls(bits, contexts, class_of_channel, (low, high), thresholds, rows)

    def context(self, seen: tuple[int, int, int] | None) -> int:
        """Context of a position with neighbours ``seen``."""
        if seen is None:
            return self.contexts
        w, n, nw = seen
        level = sum(abs(w - nw) + abs(n - nw) > bound for bound in self.activity)
        first = sum(len(cuts) + 1 for cuts in self.thresholds[:level])
        return first + sum(t <= w + n for t in self.thresholds[level])

    def row(self, plane: int, seen: tuple[int, int, int] | None) -> list[int]:
        """Frequencies for a position of ``plane`` with neighbours ``seen``."""
        its_class = self.class_of_channel[plane % len(self.class_of_channel)]
        return self.frequencies[its_class * (self.contexts + 1) + self.context(seen)]


def lane_count(planes: int, plane_size: int, bits: int) -> int:
    size = planes * plane_size
    if size < 16384:
        return 1
    return max(n for n in (1, 2, 4, 8, 16) if n <= max(1, min(planes, size * bits // 16384)))


def steps(planes: int, plane_size: int, bits: int) -> tuple[list[tuple[int, int, int]], list[list[tuple[int, int]]]]:
    """(lane, plane, position) in decoding order, and every lane's raw places."""
    lanes = lane_count(planes, plane_size, bits)
    places = [[(p, i) for p in range(lane, planes, lanes) for i in range(plane_size)] for lane in range(lanes)]
    coded = [len(lane) - min(30 // bits, len(lane)) for lane in places]
    order = [(lane, *places[lane][t]) for t in range(max(coded)) for lane in range(lanes) if t < coded[lane]]
    return order, [places[lane][coded[lane] :] for lane in range(lanes)]


def encode(tables: Tables, planes: list[list[int]], width: int, first_plane: int = 0) -> bytes:
    order, raw = steps(len(planes), len(planes[0]), tables.bits)
    states = [2**30 + sum(planes[p][i] << tables.bits * k for k, (p, i) in enumerate(lane)) for lane in raw]
    words: list[int] = []
    for lane, p, i in reversed(order):
        row, s = tables.row(first_plane + p, neighbours(planes[p], i, width)), planes[p][i]
        x = states[lane]
        if x >= row[s] * 2**19:
            words.append(x % 65536)
            x //= 65536
        states[lane] = x // row[s] * 4096 + sum(row[:s]) + x % row[s]
    return struct.pack(f"<{len(states)}I{len(words)}H", *states, *reversed(words))


def decode(
    tables: Tables, payload: bytes, count: int, height: int, width: int, first_plane: int = 0
) -> list[list[int]]:
    order, raw = steps(count, height * width, tables.bits)
    states = list(struct.unpack_from(f"<{len(raw)}I", payload))
    words = list(struct.unpack_from(f"<{(len(payload) - 4 * len(raw)) // 2}H", payload, 4 * len(raw)))
    planes = [[0] * (height * width) for _ in range(count)]
    for lane, p, i in order:
        row = tables.row(first_plane + p, neighbours(planes[p], i, width))
        slot, s, start = states[lane] % 4096, 0, 0
        while slot >= start + row[s]:
            start += row[s]
            s += 1
        planes[p][i] = s
        states[lane] = row[s] * (states[lane] // 4096) + slot - start
        if states[lane] < 32768:
            states[lane] = states[lane] * 65536 + words.pop(0)
    assert not words
    for lane, places in enumerate(raw):
        rest = states[lane] - 2**30
        for p, i in places:
            rest, planes[p][i] = divmod(rest, 1 << tables.bits)
        assert rest == 0
    return planes
