"""FORMAT.md section 7. Symbols are lists of planes, each a row-major list."""

from __future__ import annotations

from collections.abc import Callable

from reference.neighbours import neighbours

CodeBit = Callable[[int, int], int]
"""(bit, probability of a one in 1/65536) -> bit."""


class Model:
    """One node of one tree."""

    def __init__(self) -> None:
        self.fast, self.slow, self.seen = 32768, 32768, 0

    def update(self, bit: int) -> None:
        self.fast = self._moved(self.fast, bit, min(self.seen, 20))
        self.slow = self._moved(self.slow, bit, self.seen)
        self.seen = min(self.seen + 1, 250)

    @staticmethod
    def _moved(p: int, bit: int, k: int) -> int:
        rate = 655360 // (10 * k + 16)
        return p + (65535 - p) * rate // 65536 if bit else p - p * rate // 65536


class Scan:
    """Goes through a chunk; ``code_bit`` reads or writes."""

    def __init__(self, bits: int, code_bit: CodeBit) -> None:
        self.raw_bits = max(0, bits - 8)
        self.tree_bits = bits - self.raw_bits
        self.code_bit = code_bit
        self.models: dict[tuple[str, int, int], Model] = {}
        self.mean = 0

    def chunk(self, planes: list[list[int]], width: int) -> None:
        for plane in planes:
            for position in range(len(plane)):
                fine, coarse = self.trees(neighbours(plane, position, width))
                plane[position] = self.symbol(plane[position], fine, coarse)
                top = plane[position] >> self.raw_bits
                self.mean = 16 * top if position == 0 else self.mean + top - self.mean // 16

    def trees(self, seen: tuple[int, int, int] | None) -> tuple[int, int]:
        two_t = 2**self.tree_bits
        top = two_t - 1
        f, m, s = min(32, 2 * two_t), min(12, two_t), min(12, 2 * two_t)
        if seen is None:
            return f, m * s
        total = (seen[0] >> self.raw_bits) + (seen[1] >> self.raw_bits)
        return total * f // (2 * top + 1), self.mean // 4 * m // (4 * top + 1) * s + total * s // (2 * top + 1)

    def symbol(self, value: int, fine: int, coarse: int) -> int:
        node = 1
        for left in reversed(range(self.tree_bits)):
            bit = value >> (self.raw_bits + left) & 1
            pair = [self.models.setdefault((view, tree, node), Model()) for view, tree in (("f", fine), ("c", coarse))]
            average = sum(model.fast + model.slow for model in pair) // 4
            bit = self.code_bit(bit, min(max(average, 32), 65504))
            for model in pair:
                model.update(bit)
            node = 2 * node + bit
        coded = node - 2**self.tree_bits
        for left in reversed(range(self.raw_bits)):
            coded = 2 * coded + self.code_bit(value >> left & 1, 32768)
        return coded


class Writer:
    """Bytes out of decisions."""

    def __init__(self) -> None:
        self.low, self.size, self.digits = 0, 2**32 - 1, 0  # `low` is exact: an integer of 32 + 8 * digits bits

    def code_bit(self, bit: int, probability: int) -> int:
        bound = self.size // 65536 * probability
        if bit:
            self.size = bound
        else:
            self.low, self.size = self.low + bound, self.size - bound
        while self.size < 2**24:
            self.low, self.size, self.digits = self.low * 256, self.size * 256, self.digits + 1
        return bit

    def finish(self) -> bytes:
        for more in range(5):
            unit = 2 ** (32 - 8 * more)
            value = -(-self.low // unit) * unit
            if value - self.low < self.size:
                break
        return value.to_bytes(self.digits + 4, "big").rstrip(b"\0")


class Reader:
    """Inverse of :class:`Writer`."""

    def __init__(self, payload: bytes) -> None:
        self.payload, self.data = payload, payload + bytes(4)
        self.at, self.size, self.offset = 4, 2**32 - 1, int.from_bytes(self.data[:4], "big")

    def code_bit(self, _: int, probability: int) -> int:
        bound = self.size // 65536 * probability
        is_one = self.offset < bound
        if is_one:
            self.size = bound
        else:
            self.offset, self.size = self.offset - bound, self.size - bound
        while self.size < 2**24:
            more = self.data[self.at] if self.at < len(self.data) else 0
            self.size, self.offset, self.at = self.size * 256, self.offset * 256 + more, self.at + 1
        return int(is_one)

    def finish(self) -> None:
        assert self.at >= len(self.payload)
        assert not self.payload.endswith(b"\0")


def encode(bits: int, planes: list[list[int]], width: int) -> bytes:
    writer = Writer()
    Scan(bits, writer.code_bit).chunk([list(plane) for plane in planes], width)
    return writer.finish()


def decode(bits: int, payload: bytes, count: int, height: int, width: int) -> list[list[int]]:
    reader = Reader(payload)
    planes = [[0] * (height * width) for _ in range(count)]
    Scan(bits, reader.code_bit).chunk(planes, width)
    reader.finish()
    return planes
