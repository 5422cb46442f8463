"""Access control: TLS, bearer tokens, and no unencrypted connection to other machines unless allowed."""

from __future__ import annotations

import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.runtime.address import check_address, is_loopback

MAX_BYTES = 1 << 20
"""Of a certificate chain, a key or a file of tokens."""
MIN_TOKEN = 16


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one end.

    Attributes:
        cert, key: This end's certificate chain and private key.
        ca: Authorities that must have signed the other end's certificate.

    Raises:
        UsageError: A file cannot be read, is no PEM of its kind, or the key is not the certificate's.
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise UsageError("--tls-cert and --tls-key go together.")
        if self.cert is not None and self.key is not None:
            _check_pair(self.cert, self.key)
        if self.ca is not None:
            _check_authorities(self.ca)

    def server_context(self) -> ssl.SSLContext | None:
        """None: plain text. With ``ca`` clients must show a certificate too.

        Raises:
            UsageError: ``ca`` alone, which would serve everyone in plain text.
        """
        if self.ca is not None and self.cert is None:
            raise UsageError("--tls-ca asks clients for certificates: give this server's --tls-cert and --tls-key too.")
        if self.cert is None or self.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(self.cert, self.key)
        if self.ca is not None:
            context.load_verify_locations(self.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

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
    """Refuse an unencrypted connection over a network unless it was allowed.

    Args:
        address: ``HOST:PORT`` or ``unix:PATH``.
        is_encrypted: Whether TLS is on.
        allow: Whether ``--insecure`` was given.

    Raises:
        UsageError: Plain text to or from another machine, or no address.
    """
    check_address(address)
    if not (is_encrypted or allow or is_loopback(address)):
        raise UsageError(
            f"{address}: features and answers would travel unencrypted; give TLS files (--tls-cert, --tls-key, "
            "--tls-ca), or give --insecure."
        )


def read_tokens(path: Path) -> tuple[str, ...]:
    """Bearer tokens, one per line; empty lines and lines that start with # are left out.

    Raises:
        UsageError: The file cannot be read, holds none, or holds one that is short or not of visible ASCII.
    """
    lines = [line.strip() for line in _read(path).decode("utf-8", "replace").splitlines()]
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise UsageError(f"{path}: holds no token; write one per line.")
    for token in tokens:
        if len(token) < MIN_TOKEN or not all("!" <= letter <= "~" for letter in token):
            raise UsageError(f"{path}: a token has at least {MIN_TOKEN} visible ASCII letters and no spaces.")
    return tokens


def known_token(token: str, tokens: tuple[str, ...]) -> int:
    """Number of the token among them, in constant time; -1 for one that is not there."""
    said = token.encode()
    return max(number if hmac.compare_digest(said, one.encode()) else -1 for number, one in enumerate(tokens))


def _check_pair(cert: Path, key: Path) -> None:
    _read(cert), _read(key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{cert}: is no certificate chain in PEM, or {key} is not its unencrypted key ({_reason(error)})."
        ) from error


def _check_authorities(ca: Path) -> None:
    _read(ca)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{ca}: holds no certificate in PEM ({_reason(error)}).") from error


def _no_password() -> bytes:
    """OpenSSL would ask for one on the terminal."""
    return b""


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def _read(path: Path) -> bytes:
    return read_bounded(path, MAX_BYTES)
