"""Files appear whole or not at all, whoever else writes them."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from splitc.errors import BundleError, UsageError
from splitc.files import sweep, whole_file, whole_folder, write_file, write_together


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"a\nb", "a\nb", lambda file: file.write(b"a\nb")], ids=["bytes", "text", "call"])
def test_what_is_written(tmp_path: Path, content: bytes | str | Callable[[BinaryIO], object]) -> None:
    write_file(tmp_path / "x", "old")
    write_file(tmp_path / "x", content)
    assert (tmp_path / "x").read_bytes() == b"a\nb"
    assert names(tmp_path) == ["x"]


def test_permissions_are_those_of_a_plain_open(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "new", "")
        with (tmp_path / "plain").open("w"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o600)
    write_file(tmp_path / "new", "")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_link_keeps_pointing(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for target in ("deep/there", "deep/absent"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        write_file(tmp_path / "link", target)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / target).read_text() == target


@pytest.mark.parametrize(
    ("code", "is_written"), [(errno.EACCES, True), (errno.EINVAL, True), (errno.ENOSYS, True), (errno.EIO, False)]
)
def test_a_folder_whose_names_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_written: bool
) -> None:
    """The file stands by then: where the system has no such thing it is no failure; a broken disk is one."""
    real = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)

    def write_both() -> None:
        write_file(tmp_path / "x", "new")
        with whole_folder(tmp_path / "y", lambda place: None) as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "a").write_text("new")

    with contextlib.nullcontext() if is_written else pytest.raises(UsageError, match="Input/output error"):
        write_both()
    assert (tmp_path / "x").read_text() == "new"
    assert names(tmp_path) == (["x", "y"] if is_written else ["x"])


def make_pipe(place: Path) -> None:
    os.mkfifo(place)


def make_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "is a folder; name a file in it."),
        (make_pipe, "is no plain file; name one."),
        (make_socket, "is no plain file; name one."),
        (lambda place: place.symlink_to("/dev/null"), "is no plain file; name one."),
    ],
)
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    place = tmp_path / "x"
    make(place)
    with pytest.raises(UsageError) as caught:
        write_file(place, "new")
    assert str(caught.value) == f"{place}: {message}"
    with pytest.raises(UsageError, match="is "), whole_file(place):
        pass
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("no/x", "No such file or directory"), ("file/x", "Not a directory"), ("n" * 300, "File name too long")],
)
def test_a_place_that_cannot_be_written(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError) as caught:
        write_file(tmp_path / name, "new", BundleError)
    assert str(caught.value) == f"{tmp_path / name}: cannot be written ({reason})."
    assert names(tmp_path) == ["file"]


def test_a_long_name_is_a_name(tmp_path: Path) -> None:
    write_file(tmp_path / ("é" * 127), "new")
    assert names(tmp_path) == ["é" * 127]


@pytest.fixture
def small_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    write_file(tmp_path / "x", "old")
    with pytest.raises(UsageError, match=r"x: cannot be written \(File too large\)\.$"):
        write_file(tmp_path / "x", bytes(100_000))
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_any_exception_leaves_nothing_and_passes(tmp_path: Path, error: type[BaseException]) -> None:
    def broken(file: BinaryIO) -> None:
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_file(tmp_path / "x", broken)
    with pytest.raises(error), whole_file(tmp_path / "x") as path, path.open("wb") as file:
        broken(file)
    assert names(tmp_path) == []


def test_all_of_them_or_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_together({tmp_path / "a": "old", tmp_path / "b": "old"})
    with pytest.raises(UsageError, match="is a folder"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new", tmp_path / "folder": "new"})
    assert [(tmp_path / name).read_text() for name in "ab"] == ["old", "old"]
    assert names(tmp_path) == ["a", "b", "folder"]


def test_a_library_writes_by_path(tmp_path: Path) -> None:
    with whole_file(tmp_path / "x.onnx") as path:
        assert path.name == "x.onnx"
        path.write_text("new")
        (path.parent / "side.log").touch()
        assert not (tmp_path / "x.onnx").exists()
    assert names(tmp_path) == ["x.onnx"]
    with pytest.raises(UsageError, match="cannot be written"), whole_file(tmp_path / "x.onnx"):
        pass
    assert (tmp_path / "x.onnx").read_text() == "new"


def test_writers_of_one_place_do_not_disturb_each_other(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def write(letter: str) -> None:
        try:
            for _ in range(50):
                write_file(tmp_path / "x", letter * 10_000)
                assert len(set((tmp_path / "x").read_text())) == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names(tmp_path) == ["x"]


KILLED = """
import os, signal, sys
from pathlib import Path
from splitc.files import write_file
def die(file):
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
write_file(Path(sys.argv[1]), die)
"""


def test_what_a_killed_process_left_goes_with_the_next(tmp_path: Path) -> None:
    write_file(tmp_path / "x", "old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "x")], check=False)
    assert len(names(tmp_path)) == 2
    assert (tmp_path / "x").read_text() == "old"
    write_file(tmp_path / "y", "another place")
    assert len(names(tmp_path)) == 3
    write_file(tmp_path / "x", "new")
    assert names(tmp_path) == ["x", "y"]


def test_what_a_live_process_writes_stays(tmp_path: Path) -> None:
    def slow(file: BinaryIO) -> None:
        file.write(b"slow")
        sweep(tmp_path / "x")
        write_file(tmp_path / "x", "quick")

    write_file(tmp_path / "x", slow)
    assert (tmp_path / "x").read_text() == "slow"
