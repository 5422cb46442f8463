"""The level chunks of splitc/weights/FORMAT.md, sections 5 and 6, read and written step by step."""

from __future__ import annotations

import struct
from collections.abc import Sequence

Table = Sequence[int]
ONE, LOW = 4096, 65536


def context(outer: int, middle: int, inner: int, count: int) -> int:
    return min(max(outer + (middle - 32) + (inner - 32), 0), count - 1)


def contexts(classes: tuple[Sequence[int], Sequence[int], Sequence[int]], count: int) -> list[int]:
    """Of every position of the tensor, row-major."""
    outer, middle, inner = classes
    return [context(o, m, i, count) for o in outer for m in middle for i in inner]


def token(level: int) -> int:
    return level + 128 if -127 <= level <= 127 else 0


def lanes_of(levels: int) -> int:
    return 32 if levels >= 8192 else 2


def encode(levels: Sequence[int], places: Sequence[int], tables: Sequence[Table]) -> bytes:
    """``places`` are the contexts of these levels."""
    lanes = lanes_of(len(levels))
    states, words = [LOW] * lanes, []
    for index in reversed(range(len(levels))):
        table, t, x = tables[places[index]], token(levels[index]), states[index % lanes]
        if x >= table[t] << 20:
            words.append(x % LOW)
            x //= LOW
        states[index % lanes] = x // table[t] * ONE + x % table[t] + sum(table[:t])
    escapes = [level for level in levels if token(level) == 0]
    whole = struct.pack(f"<I{len(escapes)}i{lanes}I", len(escapes), *escapes, *states)
    return whole + struct.pack(f"<{len(words)}H", *reversed(words))


def decode(payload: bytes, places: Sequence[int], tables: Sequence[Table]) -> list[int]:
    lanes = lanes_of(len(places))
    (count,) = struct.unpack_from("<I", payload)
    escapes = list(struct.unpack_from(f"<{count}i", payload, 4))
    states = list(struct.unpack_from(f"<{lanes}I", payload, 4 + 4 * count))
    rest = payload[4 + 4 * count + 4 * lanes :]
    words = list(struct.unpack(f"<{len(rest) // 2}H", rest))
    levels = []
    for index, place in enumerate(places):
        table, x = tables[place], states[index % lanes]
        slot, start, t = x % ONE, 0, 0
        while start + table[t] <= slot:
            start, t = start + table[t], t + 1
        x = table[t] * (x // ONE) + slot - start
        states[index % lanes] = x if x >= LOW else x * LOW + words.pop(0)
        levels.append(t - 128 if t else escapes.pop(0))
    assert not words
    assert not escapes
    assert states == [LOW] * lanes
    return levels
