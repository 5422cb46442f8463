"""Where a server listens: what is taken is refused, what a dead server left is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc.errors import UsageError
from splitc.runtime.server.listening import listen


def short(tmp_path: Path, name: str = "s") -> Path:
    """A socket's path has at most 107 bytes."""
    path = tmp_path / name
    if len(str(path)) > 100:
        pytest.skip("the folder's name is too long for a socket")
    return path


def test_a_port_is_taken_once() -> None:
    first = listen("127.0.0.1:0")
    try:
        assert first.address.rpartition(":")[2] != "0"
        with pytest.raises(UsageError, match="cannot listen there"):
            listen(first.address)
    finally:
        first.close()
    listen(first.address).close()


def test_a_name_with_several_addresses_has_one_port() -> None:
    heard = listen("localhost:0")
    try:
        assert len({one.getsockname()[1] for one in heard.sockets}) == 1
    finally:
        heard.close()


def test_a_path_is_taken_once_and_left_clean(tmp_path: Path) -> None:
    path = short(tmp_path)
    first = listen(f"unix:{path}")
    with pytest.raises(UsageError, match="another server listens there"):
        listen(f"unix:{path}")
    assert path.is_socket()
    first.close()
    assert not path.exists()


def test_the_socket_of_a_dead_server_is_taken_over(tmp_path: Path) -> None:
    path = short(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    heard = listen(f"unix:{path}")
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    finally:
        heard.close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_file_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    path = short(tmp_path)
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="no socket"):
        listen(f"unix:{path}")
    assert path.is_symlink() or path.exists()


def test_another_s_socket_stays(tmp_path: Path) -> None:
    """Whoever took the path over keeps it."""
    path = short(tmp_path)
    first = listen(f"unix:{path}")
    path.unlink()
    second = listen(f"unix:{path}")
    first.close()
    assert path.is_socket()
    second.close()
    assert not path.exists()


@pytest.mark.parametrize(
    "address", ["unix:/no/such/folder/s", "unix:/" + "x" * 200, "192.0.2.1:0", "no-such-name.invalid:1"]
)
def test_what_cannot_be_is_one_sentence(address: str) -> None:
    with pytest.raises(UsageError, match="cannot listen there") as caught:
        listen(address)
    assert "\n" not in str(caught.value)
    assert ("is its folder there, and the path short?" in str(caught.value)) == address.startswith("unix:")
