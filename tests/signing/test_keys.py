"""Keys: what is written, what is refused, and the signature itself against a published vector."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from splitc.errors import UsageError
from splitc.signing import PublicKey, new_key, read_private, read_public


def test_a_new_pair_is_its_owners_alone(tmp_path: Path) -> None:
    public = new_key(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert read_public(tmp_path / "k.pub") == public == read_private(tmp_path / "k").public
    assert sorted(os.listdir(tmp_path)) == ["k", "k.pub"]


def test_a_key_never_shows_in_messages(tmp_path: Path) -> None:
    public = new_key(tmp_path / "k")
    assert repr(read_private(tmp_path / "k")) == f"PrivateKey({public.id[:12]})"


@pytest.mark.parametrize("name", ["k", "k.pub"])
def test_a_key_is_never_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("years of trust")
    with pytest.raises(UsageError, match="a key is never replaced"):
        new_key(tmp_path / "k")
    assert os.listdir(tmp_path) == [name]


def test_rfc_8032_test_2() -> None:
    """Section 7.1, TEST 2: one byte."""
    key = PublicKey(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.verifies(signature, b"\x72")
    assert not key.verifies(signature, b"\x73")


def test_passphrases(tmp_path: Path) -> None:
    public = new_key(tmp_path / "k", "correct horse")
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    assert read_private(tmp_path / "k", "correct horse").public == public
    for wrong in (None, "wrong horse"):
        with pytest.raises(UsageError, match="its passphrase is another"):
            read_private(tmp_path / "k", wrong)


def test_a_private_key_that_others_can_read(tmp_path: Path) -> None:
    new_key(tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(UsageError, match="can be read by other users; chmod 600 it"):
        read_private(tmp_path / "k")


def test_keys_of_another_kind(tmp_path: Path) -> None:
    other = generate_private_key(SECP256R1())
    private, public = tmp_path / "k", tmp_path / "k.pub"
    private.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    public.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="of another kind; ed25519 is needed"):
        read_private(private)
    with pytest.raises(UsageError, match="of another kind; ed25519 is needed"):
        read_public(public)


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "k").write_bytes(data)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(UsageError, match="is no public key in PEM"):
        read_public(tmp_path / "k")
    with pytest.raises(UsageError, match="is no private key"):
        read_private(tmp_path / "k")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_ed25519_keys_have_32_bytes(tmp_path: Path, size: int) -> None:
    secret = bytes([4, size]) + b"k" * size
    inner = bytes.fromhex("020100300506032b657004") + bytes([len(secret)]) + secret
    der = bytes([0x30, len(inner)]) + inner
    pem = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(der) + b"\n-----END PRIVATE KEY-----\n"
    (tmp_path / "k").write_bytes(pem)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(UsageError, match="is no private key"):
        read_private(tmp_path / "k")


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    new_key(tmp_path / "k")
    with pytest.raises(UsageError, match="keep this one away"):
        read_public(tmp_path / "k")
