"""Plain files within bounds, and nothing else."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest

from splitc.errors import BitstreamError, UsageError
from splitc.files import read_bounded, read_text, sha256_bytes, sha256_of, sha256_stream


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_every_hash_is_the_same(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "x").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    assert sha256_of(tmp_path / "x") == sha256_stream(BytesIO(data)) == sha256_bytes(data[:5], data[5:]) == digest


def test_a_large_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(256 << 20)
    tracemalloc.start()
    sha256_of(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20  # two blocks of 1 MiB, and what opening takes


def test_up_to_the_bound(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(1000))
    assert len(read_bounded(tmp_path / "x", 1000)) == 1000
    with pytest.raises(BitstreamError) as caught:
        read_bounded(tmp_path / "x", 999, "a stream file", BitstreamError)
    assert str(caught.value) == f"{tmp_path}/x: is larger than 999 bytes; give a stream file."


def test_a_file_that_says_it_is_empty(tmp_path: Path) -> None:
    """The size of a file in /proc is 0 whatever it holds."""
    with pytest.raises(UsageError, match=r"is larger than 3 bytes; is this the right file\?$"):
        read_bounded(Path("/proc/self/status"), 3)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "pipe"])
def test_what_never_ends_is_not_read(tmp_path: Path, place: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (sha256_of, lambda path: read_bounded(path, 10)):
        with pytest.raises(UsageError, match=r": is no plain file; name one\.$"):
            read(tmp_path / place)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r": is a folder; name a file in it\.$"):
        read_bounded(tmp_path, 10)
    with pytest.raises(UsageError, match=r"absent: cannot be read \(No such file or directory\)\.$"):
        read_bounded(tmp_path / "absent", 10)
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "absent")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_of_every_editor(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes("größe\n3".encode(encoding))
    assert read_text(tmp_path / "t", 100) == "größe\n3"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(
            "größe".encode("latin-1"), r"t:1: is not UTF-8 text \(byte 0xf6, .*; save it as UTF-8", id="first"
        ),
        pytest.param(b"a\r\nb\rc\nd\xe9", "t:4: is not UTF-8 text", id="fourth"),
        pytest.param(b"\xef\xbb\xbfa\n\xe9", "t:2: is not UTF-8 text", id="behind-a-mark"),
        pytest.param(b"\xff\xfea", "t: is not UTF-8 text, nor the UTF-16 that its mark promises", id="half"),
        pytest.param(b"x" * 101, "t: is larger than 100 bytes", id="large"),
    ],
)
def test_what_is_no_text(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(UsageError, match=words):
        read_text(tmp_path / "t", 100)
