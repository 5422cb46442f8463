"""TLS of one connection, bytes in and bytes out: the gate has to see what a client says inside."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

READ_BYTES = 64 << 10


class TlsSession:
    """The server's end.

    Args:
        context: Certificates, and what is asked of clients.

    Attributes:
        is_over: The client has ended TLS: nothing that it sends from now on is read or kept.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._is_open = self.is_over = False

    def opened(self, data: bytes) -> bytes:
        """What the client said, in plain text; nothing while hands are being shaken.

        Raises:
            ssl.SSLError: It is no TLS, or not what is asked of clients; :meth:`waiting` may have the alert for them.
        """
        parts = list[bytes]()
        if self.is_over:
            return b""
        self._in.write(data)
        with suppress(ssl.SSLWantReadError):
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while part := self._tls.read(READ_BYTES):
                parts.append(part)
            self.is_over = True  # an empty read is its close_notify; OpenSSL takes no more from ``_in`` after it
        return b"".join(parts)

    def sealed(self, data: bytes) -> bytes:
        """Plain text for the client as it travels, behind what waited.

        Raises:
            ssl.SSLError: The client has ended TLS.
        """
        self._tls.write(data)
        return self._out.read()

    def waiting(self) -> bytes:
        """What TLS itself has to say."""
        return self._out.read()

    def close_notify(self) -> bytes:
        """The last bytes of a connection that ends well; nothing before hands were shaken."""
        with suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        return self._out.read()

    @property
    def identity(self) -> str | None:
        """Names in the client's certificate, which the authority vouches for; None without one."""
        said: dict[str, Any] = self._tls.getpeercert() or {} if self._is_open else {}
        names = said.get("subjectAltName") or said.get("subject")
        return repr(names) if names else None
