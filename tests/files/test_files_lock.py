"""One at a time: threads, processes, and those that were killed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from deadline import end, first_line

from splitc.errors import BackendError, UsageError
from splitc.files import locked, locked_together, sweep, write_file

HOLD = """
import sys
from pathlib import Path
from splitc.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from splitc.files import locked
place = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with locked(place):
        number = int(place.read_text())
        place.write_text(str(number + 1))
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hold(place: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(place)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first_line(process) == "held\n"
    return process


def test_nothing_is_left(tmp_path: Path) -> None:
    with locked(tmp_path / "x"):
        assert names(tmp_path) == [".x.lock"]
    assert names(tmp_path) == []


def test_processes_count_together(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_text("0")
    running = [subprocess.Popen([sys.executable, "-c", COUNT, str(place), "50"]) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert place.read_text() == "200"
    assert names(tmp_path) == ["x"]


def test_threads_count_together(tmp_path: Path) -> None:
    numbers = [0]

    def count() -> None:
        for _ in range(50):
            with locked(tmp_path / "x"):
                number = numbers[0]
                os.stat(tmp_path)  # lets other threads in
                numbers[0] = number + 1

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [200]


def test_who_holds_it_is_said(tmp_path: Path) -> None:
    process = hold(tmp_path / "x")
    with pytest.raises(BackendError) as caught, locked(tmp_path / "x", wait_s=0.05, refusal=BackendError):
        pass
    process.communicate("")
    who = f"process {process.pid} on {socket.gethostname()}"
    assert str(caught.value) == f"{tmp_path}/x: in use by {who}; try again when it has ended."
    with locked(tmp_path / "x", wait_s=0):
        pass


@pytest.mark.parametrize("signed", [True, False])
def test_a_holder_that_has_just_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signed: bool) -> None:
    """Between its lock and its signature the file is empty; on a full disk it stays so."""
    process = hold(tmp_path / "x")
    said = (tmp_path / ".x.lock").read_text()
    os.truncate(tmp_path / ".x.lock", 0)
    if signed:
        monkeypatch.setattr("time.sleep", lambda _: (tmp_path / ".x.lock").write_text(said))
    with pytest.raises(UsageError) as caught, locked(tmp_path / "x", wait_s=0):
        pass
    end(process)
    assert f"in use by {said.strip() if signed else 'another process'}; try again" in str(caught.value)


def test_another_thread_holds_it(tmp_path: Path) -> None:
    found: list[str] = []

    def ask() -> None:
        with pytest.raises(UsageError, match="in use by process") as caught, locked(tmp_path / "x", wait_s=0):
            pass
        found.append(str(caught.value))

    with locked(tmp_path / "x"):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert f"process {os.getpid()}" in found[0]


def test_several_are_locked_in_one_order(tmp_path: Path) -> None:
    """Whoever names them in another order does not wait for ever."""
    places, left = [tmp_path / "a", tmp_path / "b"], []

    def lock(order: list[Path]) -> None:
        for _ in range(50):
            with locked_together(order):
                assert len(names(tmp_path)) == 2
        left.append(order)

    threads = [threading.Thread(target=lock, args=(order,)) for order in (places, places[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(left) == 2
    with locked_together([places[0], places[0]]):
        assert names(tmp_path) == [".a.lock"]


def test_a_link_and_its_target_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("x")
    with locked(tmp_path / "x"), pytest.raises(UsageError, match="in use"), locked(tmp_path / "link", wait_s=0):
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    process = hold(tmp_path / "x")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert names(tmp_path) == [".x.lock"]
    with locked(tmp_path / "x", wait_s=0):
        pass
    assert names(tmp_path) == []


def test_a_stale_lock_is_swept_and_a_live_one_is_not(tmp_path: Path) -> None:
    process = hold(tmp_path / "x")
    write_file(tmp_path / "x", "new")
    assert names(tmp_path) == [".x.lock", "x"]
    process.kill()
    process.communicate()
    sweep(tmp_path / "x")
    assert names(tmp_path) == ["x"]


def test_a_fork_does_not_hold_it(tmp_path: Path) -> None:
    with locked(tmp_path / "x"):
        child = os.fork()
        if child == 0:
            try:
                with locked(tmp_path / "x", wait_s=0):
                    os._exit(1)
            except UsageError:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_place_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"x: cannot be written \(No such file or directory\)\.$"):
        locked(tmp_path / "no" / "x").__enter__()

    def none_granted(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", none_granted)
    with pytest.raises(UsageError, match=r"x: cannot be locked \(No locks available\)\.$"):
        locked(tmp_path / "x").__enter__()
