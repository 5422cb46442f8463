"""Where a server listens: ``HOST:PORT`` or ``unix:PATH``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from splitc.errors import UsageError

UNIX = "unix:"
MAX_PORT = 65535


@dataclass(frozen=True)
class Address:
    """A host and its port.

    Attributes:
        host: A name or an IP address, IPv6 without brackets.
        port: 0 for any that is free.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(text: str) -> Address:
    """``HOST:PORT`` or ``[IPv6]:PORT``.

    Raises:
        UsageError: Anything else; gRPC itself would read some of it as a different port.
    """
    host, colon, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if is_bracketed else host
    is_number = port.isascii() and port.isdecimal() and int(port) <= MAX_PORT
    if not (colon and bare and is_number) or (":" in bare) != is_bracketed or any(c.isspace() for c in bare):
        raise UsageError(f"{text!r} is not HOST:PORT, [IPv6]:PORT or unix:PATH, with a port up to {MAX_PORT}.")
    return Address(bare, int(port))


def check_address(text: str) -> None:
    """Any address that a server may have.

    Raises:
        UsageError: Neither form.
    """
    if not text.startswith(UNIX):
        read_address(text)
    elif text == UNIX:
        raise UsageError(f"{text!r} names no socket; give unix:PATH.")


def is_loopback(text: str) -> bool:
    """Whether an address stays on this machine."""
    if text.startswith(UNIX):
        return True
    host = read_address(text).host
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
