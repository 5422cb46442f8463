"""Ed25519 keys in PEM files: RFC 8032, by the library ``cryptography``."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from splitc.errors import UsageError
from splitc.files import read_bounded, refuse_special, sha256_bytes, write_file

MAX_KEY_BYTES = 1 << 14
PUBLIC_SUFFIX = ".pub"
_PRIVATE_MODE = 0o600
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)
"""What ``cryptography`` raises for text that is no key, for another passphrase, for keys it does not know, and for an
ed25519 key of another size.
"""


@dataclass(frozen=True)
class PublicKey:
    """Tells whether a signature is the private key's.

    Attributes:
        raw: 32 bytes, RFC 8032 section 5.1.5.
    """

    raw: bytes

    @property
    def id(self) -> str:
        """SHA-256 of the raw key, 64 hex digits: what people compare and messages begin to quote."""
        return sha256_bytes(self.raw)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the private key signed ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class PrivateKey:
    """Signs. Its text never shows the key."""

    _key: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.id[:12]})"

    @property
    def public(self) -> PublicKey:
        """The key that verifies."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same for the same message."""
        return self._key.sign(message)


def new_key(place: Path, passphrase: str | None = None) -> PublicKey:
    """Write a new private key to ``place``, for its owner alone, and the public one to ``place.pub``.

    Args:
        place: PKCS #8, PEM.
        passphrase: Encrypts it; None: the file's permissions alone protect it.

    Raises:
        UsageError: Either file is there already, or cannot be written; ``place`` is a folder.
    """
    refuse_special(place)
    public = place.with_name(f"{place.name}{PUBLIC_SUFFIX}")
    for one in (place, public):
        if os.path.lexists(one):
            raise UsageError(f"{one}: is there already; a key is never replaced, name another file.")
    key = Ed25519PrivateKey.generate()
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    write_file(place, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how), mode=_PRIVATE_MODE)
    write_file(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return PrivateKey(key).public


def read_private(place: Path, passphrase: str | None = None) -> PrivateKey:
    """A private key that nobody else on this machine can read.

    Raises:
        UsageError: Not there, readable by others, encrypted otherwise, or no ed25519 private key.
    """
    data = _read(place)
    if stat.S_IMODE(place.stat().st_mode) & 0o077:
        raise UsageError(f"{place}: can be read by other users; chmod 600 it, and if they are not trusted, replace it.")
    try:
        key = load_pem_private_key(data, passphrase.encode() if passphrase else None)
    except _UNREADABLE as error:
        raise UsageError(f"{place}: is no private key, or its passphrase is another ({_reason(error)}).") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{place}: is a private key of another kind; ed25519 is needed.")
    return PrivateKey(key)


def read_public(place: Path) -> PublicKey:
    """A public key.

    Raises:
        UsageError: Not there, or no ed25519 public key.
    """
    data = _read(place)
    if b"PRIVATE KEY" in data:
        raise UsageError(f"{place}: is a private key; name the public one, {PUBLIC_SUFFIX}, and keep this one away.")
    try:
        key = load_pem_public_key(data)
    except _UNREADABLE as error:
        raise UsageError(f"{place}: is no public key in PEM ({_reason(error)}).") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{place}: is a public key of another kind; ed25519 is needed.")
    return PublicKey(key.public_bytes_raw())


def _read(place: Path) -> bytes:
    return read_bounded(place, MAX_KEY_BYTES, "a key in PEM")


def _reason(error: BaseException) -> str:
    """The library's first sentence; more of it would be advice about other formats."""
    return str(error).split(". ")[0].rstrip(".")[:120] or type(error).__name__
