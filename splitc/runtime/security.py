"""Who may talk: TLS, bearer tokens, and no plain text off this machine unless told so."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from splitc.errors import UsageError

MIN_TOKEN = 16


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one end.

    Attributes:
        cert, key: This end's certificate chain and private key.
        ca: Certificates that the other end's must come from.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("--tls-cert and --tls-key go together.")

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """None: plain text. With ``ca`` clients must show a certificate too."""
        if self.cert is None or self.key is None:
            return None
        ca = _read(self.ca) if self.ca else None
        return grpc.ssl_server_credentials([(_read(self.key), _read(self.cert))], ca, self.ca is not None)

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """None: plain text. Without ``ca`` the system's authorities are trusted where a certificate is shown."""
        if self.ca is None and self.cert is None:
            return None
        return grpc.ssl_channel_credentials(
            _read(self.ca) if self.ca else None,
            _read(self.key) if self.key else None,
            _read(self.cert) if self.cert else None,
        )


def refuse_plain_text(address: str, is_encrypted: bool, allow: bool) -> None:
    """Nothing travels in the clear over a network by accident.

    Args:
        address: ``HOST:PORT`` or ``unix:PATH``.
        is_encrypted: Whether TLS is on.
        allow: What ``--insecure`` said.

    Raises:
        UsageError: Plain text to or from another machine.
    """
    if not (is_encrypted or allow or is_loopback(address)):
        raise UsageError(
            f"{address}: features and answers would travel in the clear; give TLS files (--tls-cert, --tls-key, "
            "--tls-ca), or say --insecure."
        )


def is_loopback(address: str) -> bool:
    """Whether an address stays on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_tokens(path: Path) -> tuple[str, ...]:
    """Bearer tokens, one a line; empty lines and lines that start with # are left out.

    Raises:
        UsageError: The file cannot be read, holds none, or holds one that is short or not of visible ASCII.
    """
    lines = [line.strip() for line in _read(path).decode("utf-8", "replace").splitlines()]
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise UsageError(f"{path}: holds no token; write one a line.")
    for token in tokens:
        if len(token) < MIN_TOKEN or not all("!" <= letter <= "~" for letter in token):
            raise UsageError(f"{path}: a token has at least {MIN_TOKEN} visible ASCII letters and no spaces.")
    return tokens


def is_known(token: str, tokens: tuple[str, ...]) -> bool:
    """Whether the token is one of them, in a time that tells nothing about them."""
    return sum(hmac.compare_digest(token.encode(), known.encode()) for known in tokens) > 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}).") from error
