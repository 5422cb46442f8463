"""FORMAT.md, "cohen payload". Symbols are one list; models and arithmetic are those of ``range``."""

from __future__ import annotations

from reference.range_coder import CodeBit, Model


def scan(bits: int, symbols: list[int], code_bit: CodeBit) -> list[int]:
    """The symbols as coded; ``code_bit`` reads or writes."""
    models = [Model() for _ in range(2**bits - 1)]
    coded = []
    for symbol in symbols:
        value = 0
        while value < len(models):
            model = models[value]
            bit = code_bit(int(symbol > value), min(max((model.fast + model.slow) // 2, 32), 65504))
            model.update(bit)
            if not bit:
                break
            value += 1
        coded.append(value)
    return coded


def encode(bits: int, symbols: list[int]) -> bytes:
    low, size, digits = 0, 2**32 - 1, 0

    def code_bit(bit: int, probability: int) -> int:
        nonlocal low, size, digits
        bound = size // 65536 * probability
        low, size = (low, bound) if bit else (low + bound, size - bound)
        while size < 2**24:
            low, size, digits = low * 256, size * 256, digits + 1
        return bit

    scan(bits, symbols, code_bit)
    for more in range(5):
        unit = 2 ** (32 - 8 * more)
        value = -(-low // unit) * unit
        if value - low < size:
            break
    return value.to_bytes(digits + 4, "big").rstrip(b"\0")


def decode(bits: int, payload: bytes, count: int) -> list[int]:
    data = payload + bytes(4)
    at, size, offset = 4, 2**32 - 1, int.from_bytes(data[:4], "big")

    def code_bit(_: int, probability: int) -> int:
        nonlocal at, size, offset
        bound = size // 65536 * probability
        is_one = offset < bound
        offset, size = (offset, bound) if is_one else (offset - bound, size - bound)
        while size < 2**24:
            size, offset, at = size * 256, offset * 256 + (data[at] if at < len(data) else 0), at + 1
        return int(is_one)

    symbols = scan(bits, [0] * count, code_bit)
    assert at >= len(payload)
    assert not payload.endswith(b"\0")
    return symbols
