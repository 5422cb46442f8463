"""Sockets that listen: at every address of a host, or at a path. An address that is taken is refused."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass, field

from splitc.errors import UsageError
from splitc.runtime.address import UNIX, Address, read_address

BACKLOG = 256


@dataclass
class Listening:
    """Sockets of one address.

    Attributes:
        address: As clients name it, with the port that was taken.
        sockets: They listen.
    """

    address: str
    sockets: list[socket.socket] = field(default_factory=list)
    _inode: int = 0

    def close(self) -> None:
        """Listen no more, and leave no socket file of ours."""
        for one in self.sockets:
            one.close()
        path = self.address.removeprefix(UNIX)
        if self._inode and _inode(path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._inode = 0


def listen(address: str) -> Listening:
    """Listen at ``HOST:PORT``, port 0 for any, or ``unix:PATH``.

    Raises:
        UsageError: Malformed, taken, or not of this machine.
    """
    try:
        return _at_path(address.removeprefix(UNIX)) if address.startswith(UNIX) else _at_host(read_address(address))
    except OSError as error:
        why = error.strerror or str(error)
        advice = (
            "is its folder there, and the path short?"
            if address.startswith(UNIX)
            else "is it taken, or not of this machine?"
        )
        raise UsageError(f"{address}: cannot listen there ({why}); {advice}") from error


def _at_host(wanted: Address) -> Listening:
    """A socket for each address of the host, all of one port."""
    found = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    heard, port = Listening(""), wanted.port
    try:
        for family, place in dict.fromkeys((one[0], one[4]) for one in found):
            try:
                heard.sockets.append(_bound(family, (place[0], port, *place[2:])))
            except OSError:
                if not heard.sockets or family != socket.AF_INET6:
                    raise
                continue  # a name that also means ::1, on a machine without IPv6
            port = heard.sockets[-1].getsockname()[1]
    except OSError:
        heard.close()
        raise
    heard.address = str(Address(wanted.host, port))
    return heard


def _bound(family: int, place: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port is free as soon as its server ended
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(place[0] != "::"))
        return _listening(one, place)
    except OSError:
        one.close()
        raise


def _at_path(path: str) -> Listening:
    _clear(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _listening(one, path)
    except OSError:
        one.close()
        raise
    return Listening(UNIX + path, [one], _inode(path))


def _listening(one: socket.socket, place: tuple[object, ...] | str) -> socket.socket:
    one.bind(place)
    one.listen(BACKLOG)
    one.setblocking(False)
    return one


def _clear(path: str) -> None:
    """Remove the socket that a server left which ended without a word; one that answers is another's."""
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise UsageError(f"{UNIX}{path}: a file is there that is no socket; name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # someone listens, and is busy
    raise UsageError(f"{UNIX}{path}: another server listens there; name another path, or end it.")


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
