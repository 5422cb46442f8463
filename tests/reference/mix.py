"""FORMAT.md section 7a. Symbols are lists of planes, each a row-major list."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from reference import range_coder
from reference.range_coder import CodeBit

Planes = list[list[int]]
MAGNITUDES = (1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 29, 41, 57, 81, 121)
EXPECTED = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32),
    *(40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512, 768),
)
SHARED_ROWS = 1024 + 1024 + 256 + 256 + 1024
WIDTHS = [1] * 6 + [2, 2, 4, 4, 8, 8] + [1 << k for k in range(4, 16)]
OWN = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
REFERENCE = ((0, 0), (0, -1), (-1, 0), (0, 1), (1, 0))


@dataclass
class Channel:
    """One channel of the tables."""

    centre: int
    scale: int
    references: list[int]
    weights: list[int]


@dataclass
class Tables:
    """Mix tables as read."""

    bits: int
    is_residual: bool
    channels: list[Channel]
    logits: list[int]

    @classmethod
    def read(cls, data: bytes) -> Tables:
        magic, version, bits, is_residual, _most, count = struct.unpack_from("<4sBBBBH", data)
        assert (magic, version) == (b"SMIX", 1)
        at, channels = 10, []
        for _ in range(count):
            centre, scale, references = struct.unpack_from("<HHB", data, at)
            at += 5
            chosen = list(struct.unpack_from(f"<{references}H", data, at))
            at += 2 * references
            weights = list(struct.unpack_from(f"<{6 + 5 * references}h", data, at))
            at += 2 * len(weights)
            channels.append(Channel(centre, scale, chosen, weights))
        counts = data[at : at + count + SHARED_ROWS]
        at, logits = at + len(counts), []
        for nodes in counts:
            logits += [*struct.unpack_from(f"<{nodes}h", data, at), *[0] * (32 - nodes)]
            at += 2 * nodes
        return cls(bits, bool(is_residual), channels, logits)

    def value(self, symbol: int, channel: Channel) -> int:
        if self.is_residual:
            return (symbol + 1) // 2 if symbol % 2 else -(symbol // 2)
        return symbol - channel.centre

    def symbol(self, value: int, channel: Channel) -> int:
        if self.is_residual:
            return 2 * value - 1 if value > 0 else -2 * value
        return value + channel.centre


def level(bounds: tuple[int, ...], number: int) -> int:
    return sum(bound <= number for bound in bounds)


def signed_level(value: int) -> int:
    return 15 - level(MAGNITUDES, -value) if value < 0 else 15 + level(MAGNITUDES, value)


def expected_level(quarters: int) -> int:
    return 31 - level(EXPECTED, -quarters) if quarters < 0 else 31 + level(EXPECTED, quarters)


def limited(value: int) -> int:
    return min(max(value, -2047), 2047)


def logistic(total: int) -> int:
    p = math.floor(65536 / (1 + math.exp(-min(max(total, -2048), 2047) / 256)) + 0.5)
    return min(max(p, 32), 65504)


class Plane:
    """Limited values of a plane; zero where there are none."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width, self.values = height, width, [0] * (height * width)

    def at(self, y: int, x: int) -> int:
        inside = 0 <= y < self.height and 0 <= x < self.width
        return self.values[y * self.width + x] if inside else 0


class Scan:
    """Goes through a chunk; ``code_bit`` reads or writes."""

    def __init__(self, tables: Tables, shape: tuple[int, int], code_bit: CodeBit, first: int) -> None:
        self.tables, self.code_bit, self.first = tables, code_bit, first
        self.height, self.width = shape
        self.done: list[Plane] = []

    def chunk(self, planes: Planes, previous: Planes | None) -> None:
        for p, symbols in enumerate(planes):
            self.plane(p, symbols, None if previous is None else previous[p])

    def plane(self, p: int, symbols: list[int], previous: list[int] | None) -> None:
        c = (self.first + p) % len(self.tables.channels)
        channel = self.tables.channels[c]
        seen: list[tuple[Plane, list[int]]] = []
        for k, r in enumerate(channel.references):
            weights = channel.weights[6 + 5 * k : 11 + 5 * k]
            if r == c and previous is not None:
                past = Plane(self.height, self.width)
                past.values = [limited(self.tables.value(s, channel)) for s in previous]
                seen.append((past, weights))
            elif r < c and p - (c - r) >= 0:
                seen.append((self.done[p - (c - r)], weights))
        self.own = Plane(self.height, self.width)
        self.done.append(self.own)
        self.errors = {}
        self.run = 16 * channel.scale
        for position in range(len(symbols)):
            y, x = divmod(position, self.width)
            rows, mirrored, quarters = self.rows(c, channel, seen, y, x)
            value = self.value(rows, mirrored, self.sides(channel), self.tables.value(symbols[position], channel))
            symbols[position] = self.tables.symbol(value, channel)
            assert 0 <= symbols[position] < 1 << self.tables.bits
            small = self.own.values[position] = limited(value)
            self.errors[y, x] = min(abs(4 * small - quarters), 1023)
            self.run += 4 * abs(small) - self.run // 16

    def sides(self, channel: Channel) -> int:
        """1: only positive values, -1: only negative ones, 0: both."""
        if self.tables.is_residual:
            return 0
        return 1 if channel.centre == 0 else -1 if channel.centre == 2**self.tables.bits - 1 else 0

    def rows(
        self, c: int, channel: Channel, seen: list[tuple[Plane, list[int]]], y: int, x: int
    ) -> tuple[list[int], list[int], int]:
        """Rows of logits, those of the mirrored values, and four times the expected value."""
        total = sum(w * self.own.at(y + dy, x + dx) for w, (dy, dx) in zip(channel.weights, OWN, strict=False))
        for plane, weights in seen:
            total += sum(w * plane.at(y + dy, x + dx) for w, (dy, dx) in zip(weights, REFERENCE, strict=True))
        quarters = (total + 128) // 256
        w, nw, n, ne = (
            self.errors.get((y + dy, x + dx), channel.scale) for dy, dx in ((0, -1), (-1, -1), (-1, 0), (-1, 1))
        )
        error = level(MAGNITUDES, (2 * w + 2 * n + nw + ne) // 4)
        scale, run = level(MAGNITUDES, channel.scale), level(MAGNITUDES, self.run // 16)
        around = sum(abs(plane.at(y, x)) for plane, _ in seen)
        reference = level(MAGNITUDES, around * (2048 // len(seen)) // 256 if seen else 0)
        first = len(self.tables.channels)
        both = []
        for sign in (1, -1):
            near = expected_level(quarters) if sign > 0 else 62 - expected_level(quarters)
            west = signed_level(sign * self.own.at(y, x - 1)) if x > 0 else 31
            north = signed_level(sign * self.own.at(y - 1, x)) if y > 0 else 31
            places = (16 * near + error, 16 * near + scale, 16 * run + scale, 16 * reference + scale, 32 * west + north)
            starts = (0, 1024, 2048, 2304, 2560)
            both.append([c] + [first + start + place for start, place in zip(starts, places, strict=True)])
        return both[0], both[1], quarters

    def value(self, rows: list[int], mirrored: list[int], side: int, value: int) -> int:
        if not self.decide(rows, 0, int(value != 0)):
            return 0
        is_negative = side < 0 if side else bool(self.decide(rows, 1, int(value < 0)))
        rows = mirrored if is_negative else rows
        wanted, bucket, first = abs(value) - 1, 0, 0
        while bucket < 23 and self.decide(rows, 2 + bucket, int(wanted >= first + WIDTHS[bucket])):
            first += WIDTHS[bucket]
            bucket += 1
        offset, bits = 0, WIDTHS[bucket].bit_length() - 1
        for left in reversed(range(bits)):
            bit = wanted - first >> left & 1
            is_first = left == bits - 1 and bucket <= 12
            bit = self.decide(rows, 19 + bucket, bit) if is_first else self.code_bit(bit, 32768)
            offset = 2 * offset + bit
        return -(first + offset + 1) if is_negative else first + offset + 1

    def decide(self, rows: list[int], node: int, bit: int) -> int:
        return self.code_bit(bit, logistic(sum(self.tables.logits[32 * row + node] for row in rows)))


def encode(tables: Tables, planes: Planes, shape: tuple[int, int], first: int, previous: Planes | None = None) -> bytes:
    """``shape`` is that of a plane."""
    writer = range_coder.Writer()
    Scan(tables, shape, writer.code_bit, first).chunk([list(plane) for plane in planes], previous)
    return writer.finish()


def decode(
    tables: Tables, payload: bytes, count: int, shape: tuple[int, int], first: int, previous: Planes | None = None
) -> Planes:
    reader = range_coder.Reader(payload)
    planes = [[0] * (shape[0] * shape[1]) for _ in range(count)]
    Scan(tables, shape, reader.code_bit, first).chunk(planes, previous)
    reader.finish()
    return planes
