"""Addresses and certificates, looked at before anything listens or connects."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from splitc.errors import UsageError
from splitc.runtime.address import Address, is_loopback, read_address

pytest.importorskip("grpc", reason="needs splitc[serve]")
from splitc.runtime.security import TlsFiles, refuse_plain_text
from splitc.runtime.server.access import Admission, NotAdmittedError, Rates
from splitc.runtime.server.metrics import Metrics


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8001", Address("127.0.0.1", 8001)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("cloud.example:443", Address("cloud.example", 443)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, address: Address) -> None:
    assert read_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "8001", "127.0.0.1", ":8001", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:-1"),
        *("::1:8001", "[127.0.0.1]:1", "[]:1", "a b:1", "127.0.0.1:1e3", "127.0.0.1:٣"),
    ],
)
def test_what_is_no_address_is_said(text: str) -> None:
    """gRPC takes port 99999 for 34463."""
    with pytest.raises(UsageError, match=r"is not HOST:PORT, \[IPv6\]:PORT or unix:PATH"):
        refuse_plain_text(text, is_encrypted=True, allow=True)


def test_an_empty_socket_s_name_is_no_address() -> None:
    with pytest.raises(UsageError, match="names no socket"):
        refuse_plain_text("unix:", is_encrypted=True, allow=True)


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        *(("127.0.0.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/tmp/x", True)),
        *(("[::ffff:127.0.0.1]:1", True), ("LocalHost:1", True), ("localhost.:1", True)),
        *(("[::ffff:10.0.0.1]:1", False), ("[::127.0.0.1]:1", False), ("[fe80::1]:1", False)),
        *(("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example:1", False)),
    ],
)
def test_what_stays_on_this_machine(text: str, stays: bool) -> None:
    assert is_loopback(text) is stays


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """cert.pem, key.pem and ca.pem; other.pem is another certificate's key, noise.pem none at all."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued, other = authority.issue_cert("127.0.0.1"), authority.issue_cert("127.0.0.2")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    other.private_key_pem.write_to_path(folder / "other.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "noise.pem").write_text("-----BEGIN CERTIFICATE-----\nnoise\n-----END CERTIFICATE-----\n")
    return folder


def test_good_files_are_taken(files: Path) -> None:
    tls = TlsFiles(files / "cert.pem", files / "key.pem", files / "ca.pem")
    assert tls.server_context() is not None
    assert TlsFiles(ca=files / "ca.pem").channel_credentials() is not None


@pytest.mark.parametrize(
    ("cert", "key", "ca", "message"),
    [
        ("cert", None, None, "--tls-cert and --tls-key go together"),
        ("cert", "other", None, r"other.pem is not its unencrypted key \(KEY_VALUES_MISMATCH"),
        ("noise", "key", None, "noise.pem: is no certificate chain in PEM"),
        ("key", "cert", None, "key.pem: is no certificate chain in PEM"),
        ("cert", "gone", None, r"gone.pem: cannot be read \(No such file"),
        ("cert", "key", "noise", "noise.pem: holds no certificate in PEM"),
        (None, None, "key", "key.pem: holds no certificate in PEM"),
    ],
)
def test_bad_files_are_said(files: Path, cert: str | None, key: str | None, ca: str | None, message: str) -> None:
    paths = [None if name is None else files / f"{name}.pem" for name in (cert, key, ca)]
    with pytest.raises(UsageError, match=message):
        TlsFiles(*paths)


def test_a_server_that_asks_for_certificates_has_one(files: Path) -> None:
    """Without, it would serve everyone in plain text."""
    with pytest.raises(UsageError, match="--tls-ca asks clients for certificates"):
        TlsFiles(ca=files / "ca.pem").server_context()


class Call:
    """What gRPC tells of a call."""

    def __init__(self, token: str, peer: str) -> None:
        self._token, self._peer = token, peer

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", self._token)]

    def peer(self) -> str:
        return self._peer


class Visit:
    """A connection from there."""

    address = "10.0.0.1"
    identity: str | None = None

    def was_refused(self) -> None:
        """Nothing follows from it here."""


def clients(tokens: tuple[str, ...], *said: str) -> set[str]:
    admission = Admission(tokens, lambda peer: Visit(), Metrics())
    return {
        admission.caller(Call(one, f"unix-abstract:x-{index}"), "ModelInfer").client for index, one in enumerate(said)
    }


def test_who_pays_for_a_request() -> None:
    """A made-up token is no way around a rate."""
    assert clients((), "Bearer a", "Bearer b") == {"address 10.0.0.1"}
    assert clients(("a", "b"), "Bearer a", "Bearer b") == {"token 0", "token 1"}
    for made_up in ("Bearer c", "Bearer ", "a", ""):
        with pytest.raises(NotAdmittedError, match="no known bearer token"):
            clients(("a", "b"), made_up)


def test_a_connection_that_the_gate_does_not_know_may_not_call() -> None:
    with pytest.raises(NotAdmittedError, match="is being closed"):
        Admission((), lambda peer: None, Metrics()).caller(Call("", "unix:"), "ModelInfer")


def test_a_rate_is_a_second_s_worth_at_once() -> None:
    moment = [0.0]
    rates = Rates(4.0, clock=lambda: moment[0])
    assert [rates.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert rates.take("b")
    moment[0] = 0.5
    assert [rates.take("a") for _ in range(3)] == [True, True, False]
