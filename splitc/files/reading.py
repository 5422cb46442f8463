"""Reading with a bound: in blocks, from plain files only, and never more than is wanted."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from splitc.errors import SplitcError, UsageError
from splitc.files.refusals import reason_of

BLOCK_BYTES = 1 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks of 1 MiB.

    Raises:
        OSError: It cannot be read.
        UsageError: It is a device, a pipe or a folder.
    """
    with open_plain(path) as file:
        return sha256_stream(file)


def sha256_stream(file: BinaryIO) -> str:
    """Hex SHA-256 of what is left in an open file; ``file`` stands at its end afterwards."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def sha256_bytes(*parts: bytes | memoryview) -> str:
    """Hex SHA-256 of bytes in memory, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def read_bounded(path: Path, most_bytes: int, what: str = "", refusal: type[SplitcError] = UsageError) -> bytes:
    """All of a file that may have ``most_bytes`` bytes.

    Args:
        path: The file.
        most_bytes: Limit, checked before anything is read and again while reading: a file may grow.
        what: What it should be, for the messages: "a log of tegrastats".
        refusal: Class of the errors.

    Raises:
        SplitcError: Absent, unreadable, larger, a folder, a device or a pipe.
    """
    try:
        with open_plain(path, refusal) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= most_bytes else b""  # a larger number would be allocated at once
            data += file.read(most_bytes + 1 - len(data)) if len(data) > size else b""
    except OSError as error:
        advice = f"; give {what}" if what else ""
        raise refusal(f"{path}: cannot be read ({reason_of(error)}){advice}.") from error
    if max(size, len(data)) > most_bytes:
        limit = f"{most_bytes >> 20} MiB" if most_bytes % (1 << 20) == 0 else f"{most_bytes:,} bytes"
        raise refusal(f"{path}: is larger than {limit}; {f'give {what}.' if what else 'is this the right file?'}")
    return data


def read_text(path: Path, most_bytes: int) -> str:
    """All of a text file that people edit: UTF-8, with or without its mark, or UTF-16 with one.

    Raises:
        UsageError: As :func:`read_bounded`; or not such text, with the line of the first byte that is none.
    """
    data = read_bounded(path, most_bytes)
    encoding = "utf-16" if data.startswith(_UTF16) and data not in _UTF16 else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise UsageError(
                f"{path}: is not UTF-8 text, nor the UTF-16 that its mark promises; save it as UTF-8."
            ) from None
        line = len(re.split(rb"\r\n|\r|\n", error.object[: error.start]))
        raise UsageError(
            f"{path}:{line}: is not UTF-8 text (byte 0x{error.object[error.start]:02x}, as Latin-1 or Windows-1252 "
            "write an accented letter); save it as UTF-8."
        ) from None


def open_plain(path: Path, refusal: type[SplitcError] = UsageError) -> BinaryIO:
    """Open a plain file for reading; nothing else is waited for or read.

    Raises:
        OSError: It cannot be opened.
        SplitcError: It is a folder, a device or a pipe.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    what = "a folder; name a file in it" if stat.S_ISDIR(mode) else "no plain file; name one"
    raise refusal(f"{path}: is {what}.")
