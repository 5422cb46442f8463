"""FORMAT.md section 6: tables, then payload. Symbols are lists of planes, each a row-major list."""

from __future__ import annotations

import struct
from collections.abc import Callable
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

    def put_state(self, x: int) -> None:
        self.put(x.bit_length() - 16, 4)
        self.put(x - (1 << (x.bit_length() - 1)), x.bit_length() - 1)

    def take_state(self) -> int:
        length = 15 + self.take(4)
        return (1 << length) + self.take(length)


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


Place = tuple[int, int, bool]  # plane, position, whether the row above counts


@dataclass
class Fields:
    """Lanes_Log2, Whole_Planes and Tail of a payload."""

    log2: int
    whole_planes: int
    tail: int

    @property
    def lanes(self) -> int:
        return 2 ** (2 + self.log2) if self.log2 else 0

    @property
    def left(self) -> int:
        return (2 + self.tail % 2) * 2 ** (self.tail // 2 + 1) if self.tail else 0

    @classmethod
    def read(cls, bits: Bits) -> Fields:
        log2 = bits.take(2)
        return cls(log2, bits.take(1), bits.take(4)) if log2 else cls(0, 0, 0)

    def write(self, bits: Bits) -> None:
        bits.put(self.log2, 2)
        if self.log2:
            bits.put(self.whole_planes, 1)
            bits.put(self.tail, 4)


@dataclass
class Chunk:
    """Tokens of a chunk, those of the previous frame if it counts, and the tables' row of every position."""

    tables: Tables
    tokens: Planes
    previous: Planes | None
    width: int
    first_plane: int

    def split(self, fields: Fields) -> tuple[list[list[Place]], list[Place]]:
        """What every lane has, and the tail, in order."""
        planes, height = len(self.tokens), len(self.tokens[0]) // self.width
        size = height * self.width
        every = [(plane, i, i >= self.width) for plane in range(planes) for i in range(size)]
        if fields.lanes == 0:
            return [], every
        rows = planes // fields.lanes * height if fields.whole_planes else planes * height // fields.lanes
        each = rows * self.width
        assert each > fields.left
        lanes = [every[k * each : (k + 1) * each - fields.left] for k in range(fields.lanes)]
        tail = [place for k in range(fields.lanes) for place in every[(k + 1) * each - fields.left : (k + 1) * each]]
        first_rows = [[(p, i, north and t >= self.width) for t, (p, i, north) in enumerate(lane)] for lane in lanes]
        return first_rows, tail + every[fields.lanes * each :]

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


def raw_count(tail: list[Place], bits: int) -> int:
    return min(15 // bits, len(tail))


def give(chunk: Chunk, place: Place, x: int, words: list[int]) -> int:
    """Codes the token at a place: the state after ``x``."""
    p, i, has_north = place
    row, s = chunk.row(p, i, has_north), chunk.tokens[p][i]
    if x >= row[s] * 2**19:
        words.append(x % 65536)
        x //= 65536
    return x // row[s] * 4096 + sum(row[:s]) + x % row[s]


def take(chunk: Chunk, place: Place, x: int, next_word: Callable[[], int]) -> int:
    """Decodes the token at a place: the state after ``x``."""
    p, i, has_north = place
    row = chunk.row(p, i, has_north)
    slot, s, start = x % 4096, 0, 0
    while slot >= start + row[s]:
        start += row[s]
        s += 1
    chunk.tokens[p][i] = s
    x = row[s] * (x // 4096) + slot - start
    return x if x >= 32768 else x * 65536 + next_word()


def encode(
    tables: Tables,
    planes: Planes,
    width: int,
    first_plane: int = 0,
    *,
    fields: Fields,
    previous: Planes | None = None,
    alone: bool = False,
) -> bytes:
    tokens = [[tables.token(s) for s in plane] for plane in planes]
    chunk = chunk_of(tables, tokens, previous, width, first_plane)
    lanes, tail = chunk.split(fields)
    inner = encode_inner(chunk, planes, tail)
    inner_size, states = inner.size, [inner.take_state() for _ in lanes]
    words: list[int] = []
    for t in reversed(range(len(lanes[0]) if lanes else 0)):
        for k in reversed(range(len(lanes))):
            states[k] = give(chunk, lanes[k][t], states[k], words)
    head = Bits()
    if alone:
        write_alone(head, tables)
    fields.write(head)
    for x in states:
        head.put_state(x)
    gap = -head.size % 8
    head.put(inner.take(gap), gap)
    rest = inner.value >> inner.at
    rest_bytes = max(0, inner_size - inner.at + 7) // 8
    return head.written() + struct.pack(f"<{len(words)}H", *reversed(words)) + rest.to_bytes(rest_bytes, "little")


def encode_inner(chunk: Chunk, planes: Planes, tail: list[Place]) -> Bits:
    tables, words, inner = chunk.tables, list[int](), Bits()
    if tail:
        coded = len(tail) - raw_count(tail, tables.token_bits)
        x = 2**15 + sum(chunk.tokens[p][i] << tables.token_bits * k for k, (p, i, _) in enumerate(tail[coded:]))
        for place in reversed(tail[:coded]):
            x = give(chunk, place, x, words)
        inner.put_state(x)
        for word in reversed(words):
            inner.put(word, 16)
    for plane, its_tokens in zip(planes, chunk.tokens, strict=True):
        for s, t in zip(plane, its_tokens, strict=True):
            inner.put(s % (1 << tables.extra_bits(t)), tables.extra_bits(t))
    return inner


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
    assert shift <= bits - min(bits, 8)
    assert base <= (1 << (bits - shift)) - (1 << min(bits, 8))
    frequencies = []
    for _ in range(1 << min(bits, 8)):
        length = head.take(4)
        assert length <= 12
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
    chunk = chunk_of(its, [[0] * (height * width) for _ in range(count)], previous, width, first_plane)
    lanes, tail = chunk.split(Fields.read(head))
    states, inner = [head.take_state() for _ in lanes], Bits()
    gap = -head.at % 8
    gap_bits = head.take(gap)
    for t in range(len(lanes[0]) if lanes else 0):
        for k, lane in enumerate(lanes):
            states[k] = take(chunk, lane[t], states[k], lambda: head.take(16))
    for x in states:
        inner.put_state(x)
    inner.put(gap_bits, gap)
    before, behind = inner.size, payload[head.at // 8 :]
    inner.put(int.from_bytes(behind, "little"), 8 * len(behind))
    if tail:
        x, coded = inner.take_state(), len(tail) - raw_count(tail, its.token_bits)
        for place in tail[:coded]:
            x = take(chunk, place, x, lambda: inner.take(16))
        rest = x - 2**15
        for p, i, _ in tail[coded:]:
            rest, chunk.tokens[p][i] = divmod(rest, 1 << its.token_bits)
        assert rest == 0
    planes = [[symbol(its, t, inner) for t in plane] for plane in chunk.tokens]
    assert inner.value >> inner.at == 0
    assert len(behind) == max(0, inner.at - before + 7) // 8
    return planes


def symbol(tables: Tables, token: int, extra: Bits) -> int:
    low = extra.take(tables.extra_bits(token))
    if tables.bits <= 8:
        return token
    found = low if token == 255 else (token + tables.base) << tables.shift | low
    assert found < 1 << tables.bits
    assert tables.token(found) == token  # an escape must be needed
    return found
