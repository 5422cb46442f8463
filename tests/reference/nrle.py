"""FORMAT.md, "nrle payload". Symbols are one list."""

from __future__ import annotations

from reference import bits as streams


def pack(bits: int, symbols: list[int]) -> bytes:
    number = sum(symbol << bits * i for i, symbol in enumerate(symbols))
    return number.to_bytes((len(symbols) * bits + 7) // 8, "little")


def encode(bits: int, symbols: list[int]) -> bytes:
    dominant = most_frequent(symbols)
    text, i = streams.binary(dominant, bits), 0
    while i < len(symbols):
        text += streams.binary(symbols[i], bits)
        start, i = i, i + 1
        if symbols[start] == dominant:
            while i < len(symbols) and symbols[i] == dominant:
                i += 1
            text += streams.gamma(i - start)
    runs, packed = streams.to_bytes(text), pack(bits, symbols)
    return runs if len(runs) < len(packed) else packed


def most_frequent(symbols: list[int]) -> int:
    return max(set(symbols), key=lambda s: (symbols.count(s), -s))


def decode(bits: int, payload: bytes, count: int) -> list[int]:
    if len(payload) == (count * bits + 7) // 8:
        number = int.from_bytes(payload, "little")
        assert number >> count * bits == 0
        return [number >> bits * i & 2**bits - 1 for i in range(count)]
    reader, symbols, after_run = streams.Reader(payload), [], False
    dominant = reader.take(bits)
    while len(symbols) < count:
        symbol = reader.take(bits)
        assert not (after_run and symbol == dominant)
        after_run = symbol == dominant
        symbols += [symbol] * (reader.take_gamma(count - len(symbols)) if after_run else 1)
    reader.finish()
    return symbols
