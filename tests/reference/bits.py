"""FORMAT.md, "Bit streams": most significant bit first, as a text of zeros and ones."""

from __future__ import annotations


def gamma(value: int) -> str:
    return "0" * (value.bit_length() - 1) + f"{value:b}"


def binary(value: int, count: int) -> str:
    return f"{value:0{count}b}" if count else ""


def to_bytes(text: str) -> bytes:
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


class Reader:
    """Takes bits in order; assertions stand for refusals."""

    def __init__(self, payload: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in payload)
        self.at = 0

    def take(self, count: int) -> int:
        assert self.at + count <= len(self.text)
        self.at += count
        return int(self.text[self.at - count : self.at] or "0", 2)

    def take_gamma(self, most: int) -> int:
        extra = 0
        while self.take(1) == 0:
            extra += 1
        value = 2**extra + self.take(extra)
        assert value <= most
        return value

    def finish(self) -> None:
        rest = self.text[self.at :]
        assert len(rest) < 8
        assert "1" not in rest
