"""Fields in and out of bytes; a reader that names the field and the offset when it fails (FORMAT.md section 1)."""

from __future__ import annotations

from typing import NoReturn

from splitc.errors import BitstreamError

MAX_VARINT_BYTES = 5


def varint(value: int) -> bytes:
    """Unsigned LEB128 in its shortest form."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class FieldReader:
    """Reads fields in order.

    Args:
        data: The bytes.
        what: What they are, for messages.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = memoryview(data)
        self._what = what
        self.offset = 0
        self._field_offset = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.offset

    def take(self, field: str, count: int) -> memoryview:
        """The next ``count`` bytes."""
        if count < 0 or count > self.left:
            needs = f"needs {count} bytes" if count >= 0 else "does not fit"
            raise BitstreamError(
                f"{self._what}: {field} {needs} at offset {self.offset}, {self.left} left (truncated)."
            )
        self._field_offset = self.offset
        self.offset += count
        return self._data[self.offset - count : self.offset]

    def u8(self, field: str) -> int:
        return self.take(field, 1)[0]

    def u32(self, field: str) -> int:
        return int.from_bytes(self.take(field, 4), "little")

    def varint(self, field: str, low: int, high: int) -> int:
        """An unsigned LEB128 within ``[low, high]``, in its shortest form."""
        start, value = self.offset, 0
        for position in range(MAX_VARINT_BYTES):
            byte = self.u8(field)
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                break
        else:
            self.refuse(field, "is longer than 5 bytes", start)
        if byte == 0 and self.offset - start > 1:
            self.refuse(field, "is not in its shortest form", start)
        if not low <= value <= high:
            self.refuse(field, f"is {value}, must be {low}..{high}", start)
        return value

    def read_so_far(self) -> bytes:
        """Everything before the current offset."""
        return bytes(self._data[: self.offset])

    def refuse(self, field: str, complaint: str, offset: int | None = None) -> NoReturn:
        """Raise about ``field``, which begins at ``offset`` or was the last one taken."""
        where = self._field_offset if offset is None else offset
        raise BitstreamError(f"{self._what}: {field} at offset {where} {complaint}.")
