"""HTTP/2 by hand: what a client can send when no library keeps it from doing so."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_HEADERS = 4
METHOD = "/inference.GRPCInferenceService/"
MAX_FRAME = 16384
ELSEWHERE = "127.0.0.2"
"""Where strangers come from: this machine too, and another address than that of those who are let in."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame: size in three bytes, kind, flags, stream, payload."""
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header field that is never indexed, not Huffman-coded."""
    return b"\x00" + b"".join(_string(text.encode()) for text in (name, value))


def call(stream: int, method: str = "ModelStreamInfer", token: str | None = None) -> bytes:
    """The headers of a call, without a message."""
    return frame(HEADERS, END_HEADERS, stream, fields(method, token))


def fields(method: str, token: str | None = None) -> bytes:
    """A call's header block."""
    said: Mapping[str, str] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": METHOD + method,
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
        **({"authorization": f"Bearer {token}"} if token else {}),
    }
    return b"".join(literal(*one) for one in said.items())


def begun_message(size: int) -> bytes:
    """The prefix of a message of so many bytes."""
    return struct.pack("!BI", 0, size)


class Connection:
    """A socket that has greeted as an HTTP/2 client; one that was hung up on swallows what is sent."""

    def __init__(self, address: str, *, greets: bool = True, source: str = ELSEWHERE) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), 10, (source, 0))
        self.socket.settimeout(0.2)
        if greets:
            self.send(PREFACE + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0))

    def send(self, data: bytes) -> bool:
        """Whether the other end took it."""
        with suppress(OSError):
            self.socket.sendall(data)
            return True
        return False

    def is_open(self, seconds: float = 0.0) -> bool:
        """Whether the other end has not hung up within so long; what it says is thrown away."""
        self.socket.settimeout(max(seconds, 1e-3))
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def _string(text: bytes) -> bytes:
    """Length with a prefix of seven bits (RFC 7541, 5.1), then the bytes."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    left, size = len(text) - 127, bytearray([127])
    while left >= 128:
        size.append(left % 128 + 128)
        left //= 128
    return bytes([*size, left]) + text
