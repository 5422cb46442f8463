"""Too few files or threads is one sentence, before a library finds out by itself."""

from __future__ import annotations

import os
import resource
import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc import runtime
from splitc.errors import CapabilityError
from splitc.runtime.process_limits import (
    connections_that_fit,
    give_back_free_memory,
    require_process_limits,
    resident_bytes,
)
from splitc.runtime.server.private_folder import PURPOSE, private_folder


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft and the hard limit of open files."""
    said = [1024, 4096]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(said))
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: said.__setitem__(slice(None), list(both)))
    return said


def test_the_soft_limit_is_raised(limit: list[int]) -> None:
    require_process_limits("a test")
    assert limit == [4096, 4096]


def test_too_few_files_are_refused(limit: list[int]) -> None:
    limit[:] = [12, 12]
    with pytest.raises(CapabilityError, match="a test needs 64 open files, this process may have 12: raise ulimit -n"):
        require_process_limits("a test")


def test_too_few_threads_are_refused_and_those_begun_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, start = list[threading.Thread](), threading.Thread.start

    def few(thread: threading.Thread) -> None:
        if len(begun) == 5:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", few)
    with pytest.raises(CapabilityError, match="needs 24 threads, this process may start 5: raise ulimit -u"):
        require_process_limits("a test")
    assert not any(thread.is_alive() for thread in begun)


def test_a_process_is_asked_once_for_all_names_and_again_after_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def refuse_first(who: str) -> None:
        asked.append(who)
        if len(asked) == 1:
            raise CapabilityError("too few")

    monkeypatch.setattr(runtime, "require_process_limits", refuse_first)
    runtime._require_limits.cache_clear()
    with pytest.raises(CapabilityError, match="too few"):
        _ = runtime.ClientOptions
    _ = runtime.ClientOptions, runtime.TlsFiles, runtime.read_tokens
    assert len(asked) == 2


def test_connections_are_as_many_as_there_are_files_for(limit: list[int]) -> None:
    used = len(os.listdir("/proc/self/fd"))
    limit[0] = used + 24 + 3 * 10 + 3  # listing the folder opens it
    assert connections_that_fit(1000) in (10, 11)
    assert connections_that_fit(4) == 4
    limit[0] = resource.RLIM_INFINITY
    assert connections_that_fit(1000) == 1000
    limit[0] = used + 20
    with pytest.raises(CapabilityError, match="raise ulimit -n"):
        connections_that_fit(1000)


def test_this_process_takes_some_memory() -> None:
    give_back_free_memory()
    assert 10 << 20 < resident_bytes() < 64 << 30


def test_a_private_folder_is_its_user_s_alone() -> None:
    with TemporaryDirectory(dir="/tmp") as short:  # a socket's path has at most 107 bytes
        with private_folder([f"{short}/missing", "/" + "x" * 200, short]) as path:
            made = Path(path)
            assert made.parent == Path(short)
            assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert not made.exists()


def test_what_killed_servers_left_goes_first_and_nothing_else() -> None:
    with TemporaryDirectory(dir="/tmp") as short, private_folder([short]) as other:
        host = Path(other).name.split(".")[1].split("-")[0]
        killed = Path(short) / f"{PURPOSE}.{host}-4194305-1.{'0' * 12}"  # beyond the largest process number
        for one in (killed, Path(short) / "splitc-served", Path(short) / f"x{killed.name}"):
            one.mkdir()
        with private_folder([short]) as path:
            assert {one.name for one in Path(short).iterdir()} == {
                Path(other).name,
                Path(path).name,
                "splitc-served",
                f"x{killed.name}",
            }


def test_no_place_for_a_socket_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="set TMPDIR"), private_folder([str(tmp_path / "missing")]):
        pass
