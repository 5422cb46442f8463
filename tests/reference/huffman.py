"""FORMAT.md, "huffman payload". Symbols are one list."""

from __future__ import annotations

from itertools import groupby

from reference import bits as streams

LONGEST = 15


def code_lengths(counts: list[int]) -> list[int]:
    """Package-merge with the packages written out: each is (count, symbols in it)."""
    used = sorted((count, s) for s, count in enumerate(counts) if count)
    lengths = [0] * len(counts)
    if len(used) == 1:
        lengths[used[0][1]] = 1
    if len(used) < 2:
        return lengths
    leaves = [(count, [s]) for count, s in used]
    level: list[tuple[int, list[int]]] = []
    for _ in range(LONGEST):
        pairs = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = sorted(leaves + pairs, key=lambda item: item[0])  # stable: leaves stay before pairs of the same count
    for _, symbols in level[: 2 * len(used) - 2]:
        for s in symbols:
            lengths[s] += 1
    return lengths


def codes(lengths: list[int]) -> dict[int, str]:
    """Code of each symbol as text; the only symbol there is has the empty one."""
    used = [s for s, length in enumerate(lengths) if length]
    assert used
    if len(used) == 1:
        assert lengths[used[0]] == 1
        return {used[0]: ""}
    assert sum(2 ** (LONGEST - lengths[s]) for s in used) == 2**LONGEST
    assigned, code, before = {}, 0, 0
    for s in sorted(used, key=lambda s: (lengths[s], s)):
        code <<= lengths[s] - before
        assigned[s] = streams.binary(code, lengths[s])
        code, before = code + 1, lengths[s]
    return assigned


def encode(bits: int, symbols: list[int], lengths: list[int] | None = None) -> bytes:
    """With ``lengths`` of calibration nothing but codes is written."""
    text = ""
    if lengths is None:
        lengths = code_lengths([symbols.count(s) for s in range(2**bits)])
        for length, group in groupby(lengths):
            count = len(list(group))
            text += streams.binary(0, 4) + streams.gamma(count) if length == 0 else streams.binary(length, 4) * count
    table = codes(lengths)
    return streams.to_bytes(text + "".join(table[s] for s in symbols))


def decode(bits: int, payload: bytes, count: int, lengths: list[int] | None = None) -> list[int]:
    reader = streams.Reader(payload)
    table = codes(_lengths(reader, 2**bits) if lengths is None else lengths)
    by_code, symbols = {code: s for s, code in table.items()}, []
    for _ in range(count):
        code = ""
        while code not in by_code:
            code += str(reader.take(1))
        symbols.append(by_code[code])
    reader.finish()
    return symbols


def _lengths(reader: streams.Reader, count: int) -> list[int]:
    lengths: list[int] = []
    after_zeros = False
    while len(lengths) < count:
        length = reader.take(4)
        assert not (after_zeros and length == 0)
        after_zeros = length == 0
        lengths += [0] * reader.take_gamma(count - len(lengths)) if after_zeros else [length]
    return lengths


def lengths_of_tables(tables: bytes) -> list[int]:
    """FORMAT.md, "Huffman tables"."""
    assert tables[:5] == b"SHUF\1"
    return list(tables[6 : 6 + 2 ** tables[5]])
