"""FORMAT.md section 6: tables, then payload. Symbols are lists of planes, each a row-major list."""

from __future__ import annotations

import struct
from dataclasses import dataclass

Planes = list[list[int]]


class Bits:
    """Fields least significant bit first: an integer that grows, or one that is used up."""

    def __init__(self, data: bytes = b"") -> None:
        self.value, self.at, self.size = int.from_bytes(data, "little"), 0, 0

    def put(self, value: int, bits: int) -> None:
        assert value >> bits == 0
        self.value |= value << self.size
        self.size += bits

    def take(self, bits: int) -> int:
        self.at += bits
        return self.value >> (self.at - bits) & ((1 << bits) - 1)

    def written(self) -> bytes:
        return self.value.to_bytes((self.size + 7) // 8, "little")

    def bytes_taken(self) -> int:
        return (self.at + 7) // 8


@dataclass
class View:
    """Contexts and frequencies."""

    token_bits: int
    contexts: int
    activity: tuple[int, int]
    thresholds: list[list[int]]  # by level
    frequencies: list[list[int]]  # by class * (contexts + 1) + context

    def by(self, activity: int, expected: int) -> int:
        level = sum(activity > bound for bound in self.activity)
        first = sum(len(cuts) + 1 for cuts in self.thresholds[:level])
        return first + sum(t <= expected for t in self.thresholds[level])


@dataclass
class Tables:
    """rANS tables as read."""

    bits: int
    shift: int
    base: int
    class_of_channel: list[int]
    views: list[View]

    @property
    def token_bits(self) -> int:
        return min(self.bits, 8)

    @classmethod
    def read(cls, data: bytes) -> Tables:
        magic, version, bits, shift, base, classes, views, channels = struct.unpack_from("<4sBBBHBBH", data)
        assert (magic, version) == (b"SRNS", 1)
        at = 13
        class_of_channel = list(data[at : at + channels])
        at += channels
        found = []
        for _ in range(views):
            view, at = read_view(data, at, classes, min(bits, 8))
            found.append(view)
        return cls(bits, shift, base, class_of_channel, found)

    @classmethod
    def alone(cls, bits: int, shift: int, base: int, frequencies: list[int]) -> Tables:
        """The tables of a payload that brings its own."""
        return cls(bits, shift, base, [0], [View(min(bits, 8), 0, (0, 0), [[], [], []], [frequencies] * 3)])

    def token(self, symbol: int) -> int:
        if self.bits <= 8:
            return symbol
        token = (symbol >> self.shift) - self.base
        return token if 0 <= token < 255 else 255

    def extra_bits(self, token: int) -> int:
        if self.bits <= 8:
            return 0
        return self.bits if token == 255 else self.shift


def read_view(data: bytes, at: int, classes: int, bits: int) -> tuple[View, int]:
    contexts, low, high, *level_contexts = struct.unpack_from("<BHH3B", data, at)
    at += 8
    thresholds = []
    for of_level in level_contexts:
        thresholds.append(list(struct.unpack_from(f"<{of_level - 1}H", data, at)))
        at += 2 * (of_level - 1)
    rows = []
    for _ in range(classes * (contexts + 1)):
        rows.append(list(struct.unpack_from(f"<{1 << bits}H", data, at)))
        at += 2 << bits
    assert all(sum(row) == 4096 and min(row) > 0 for row in rows)
    return View(bits, contexts, (low, high), thresholds, rows), at


@dataclass
class Chunk:
    """Tokens of a chunk, those of the previous frame if it counts, and the tables' row of every position."""

    tables: Tables
    tokens: Planes
    previous: Planes | None
    width: int
    first_plane: int

    def lanes(self, count: int) -> list[list[tuple[int, int, bool]]]:
        """Of every lane: (plane, position, has a row above) in order."""
        height = len(self.tokens[0]) // self.width
        rows = [(p, y) for p in range(len(self.tokens)) for y in range(height)]
        each, more = divmod(len(rows), count)
        out, at = [], 0
        for lane in range(count):
            its = rows[at : at + each + (lane < more)]
            at += len(its)
            out.append(
                [
                    (p, y * self.width + x, y > 0 and index > 0)
                    for index, (p, y) in enumerate(its)
                    for x in range(self.width)
                ]
            )
        return out

    def row(self, plane: int, position: int, has_north: bool) -> list[int]:
        """Frequencies at a position."""
        view = self.tables.views[1 if self.previous is not None else 0]
        classes = self.tables.class_of_channel
        its_class = classes[(self.first_plane + plane) % len(classes)]
        return view.frequencies[its_class * (view.contexts + 1) + self.context(view, plane, position, has_north)]

    def context(self, view: View, plane: int, i: int, has_north: bool) -> int:
        has_west, now = i % self.width > 0, self.tokens[plane]
        if self.previous is not None:
            past = self.previous[plane]
            west = now[i - 1] - past[i - 1] if has_west else None
            north = now[i - self.width] - past[i - self.width] if has_north else west
            west = north if west is None else west
            west, north = west or 0, north or 0
            top = 2 * (2**view.token_bits - 1)
            return view.by(abs(west) + abs(north), min(max(2 * past[i] + west + north, 0), top))
        if not has_west and not has_north:
            return view.contexts
        w = now[i - 1] if has_west else now[i - self.width]
        n = now[i - self.width] if has_north else w
        nw = now[i - self.width - 1] if has_west and has_north else n
        return view.by(abs(w - nw) + abs(n - nw), w + n)


def chunk_of(tables: Tables, tokens: Planes, previous: Planes | None, width: int, first_plane: int) -> Chunk:
    if previous is not None and len(tables.views) == 2:
        past = [[tables.token(s) for s in plane] for plane in previous]
    else:
        past = None
    return Chunk(tables, tokens, past, width, first_plane)


def lanes_field_bits(size: int) -> int:
    return 1 if size < 16384 else 3


def steps(chunk: Chunk, count: int) -> tuple[list[tuple[int, int, int, bool]], list[list[tuple[int, int, bool]]]]:
    """(lane, plane, position, has a row above) in decoding order, and every lane's raw places."""
    lanes = chunk.lanes(count)
    coded = [len(lane) - min(15 // chunk.tables.token_bits, len(lane)) for lane in lanes]
    order = [(k, *lane[t]) for t in range(max(coded)) for k, lane in enumerate(lanes) if t < coded[k]]
    return order, [lane[coded[k] :] for k, lane in enumerate(lanes)]


def encode(
    tables: Tables,
    planes: Planes,
    width: int,
    first_plane: int = 0,
    *,
    lanes: int = 1,
    previous: Planes | None = None,
    alone: bool = False,
) -> bytes:
    tokens = [[tables.token(s) for s in plane] for plane in planes]
    chunk = chunk_of(tables, tokens, previous, width, first_plane)
    order, raw = steps(chunk, lanes)
    states = [2**15 + sum(tokens[p][i] << tables.token_bits * k for k, (p, i, _) in enumerate(lane)) for lane in raw]
    words: list[int] = []
    for lane, p, i, has_north in reversed(order):
        row, s, x = chunk.row(p, i, has_north), tokens[p][i], states[lane]
        if x >= row[s] * 2**19:
            words.append(x % 65536)
            x //= 65536
        states[lane] = x // row[s] * 4096 + sum(row[:s]) + x % row[s]
    head = Bits()
    if alone:
        write_alone(head, tables)
    head.put(lanes.bit_length() - 1, lanes_field_bits(len(planes) * len(planes[0])))
    for x in states:
        head.put(x.bit_length() - 16, 4)
        head.put(x - (1 << (x.bit_length() - 1)), x.bit_length() - 1)
    extra = Bits()
    for plane, its_tokens in zip(planes, tokens, strict=True):
        for s, t in zip(plane, its_tokens, strict=True):
            extra.put(s % (1 << tables.extra_bits(t)), tables.extra_bits(t))
    return head.written() + struct.pack(f"<{len(words)}H", *reversed(words)) + extra.written()


def write_alone(head: Bits, tables: Tables) -> None:
    if tables.bits > 8:
        head.put(tables.shift, 4)
        head.put(tables.base, 16)
    for f in tables.views[0].frequencies[0]:
        head.put(f.bit_length(), 4)
        if f > 1:
            head.put(f - (1 << (f.bit_length() - 1)), f.bit_length() - 1)


def read_alone(head: Bits, bits: int) -> Tables:
    shift, base = (head.take(4), head.take(16)) if bits > 8 else (0, 0)
    frequencies = []
    for _ in range(1 << min(bits, 8)):
        length = head.take(4)
        frequencies.append((1 << (length - 1)) + head.take(length - 1) if length else 0)
    assert sum(frequencies) == 4096
    return Tables.alone(bits, shift, base, frequencies)


def decode(
    tables: Tables | int,
    payload: bytes,
    count: int,
    height: int,
    width: int,
    first_plane: int = 0,
    *,
    previous: Planes | None = None,
) -> Planes:
    """``tables``, or the bits a symbol of a payload that brings its own."""
    head = Bits(payload)
    its = read_alone(head, tables) if isinstance(tables, int) else tables
    lanes = 1 << head.take(lanes_field_bits(count * height * width))
    chunk = chunk_of(its, [[0] * (height * width) for _ in range(count)], previous, width, first_plane)
    order, raw = steps(chunk, lanes)
    states = []
    for _ in range(lanes):
        length = 15 + head.take(4)
        states.append((1 << length) + head.take(length))
    at = head.bytes_taken()
    for lane, p, i, has_north in order:
        row, x = chunk.row(p, i, has_north), states[lane]
        slot, s, start = x % 4096, 0, 0
        while slot >= start + row[s]:
            start += row[s]
            s += 1
        chunk.tokens[p][i] = s
        states[lane] = row[s] * (x // 4096) + slot - start
        if states[lane] < 32768:
            states[lane] = states[lane] * 65536 + struct.unpack_from("<H", payload, at)[0]
            at += 2
    for lane, places in enumerate(raw):
        rest = states[lane] - 2**15
        for p, i, _ in places:
            rest, chunk.tokens[p][i] = divmod(rest, 1 << its.token_bits)
        assert rest == 0
    return [[symbol(its, t, extra) for t in plane] for extra in [Bits(payload[at:])] for plane in chunk.tokens]


def symbol(tables: Tables, token: int, extra: Bits) -> int:
    low = extra.take(tables.extra_bits(token))
    if tables.bits <= 8:
        return token
    return low if token == 255 else (token + tables.base) << tables.shift | low
