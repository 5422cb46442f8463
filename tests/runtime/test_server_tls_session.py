"""TLS as bytes in and bytes out, against Python's own client end."""

from __future__ import annotations

import random
import ssl
from contextlib import suppress

import pytest
import trustme

pytest.importorskip("grpc", reason="needs splitc[serve]")

from splitc.runtime.server.tls_session import TlsSession


class Client:
    """The other end, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_hostname="127.0.0.1")

    def greet(self, server: TlsSession) -> None:
        for _ in range(10):
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            assert server.opened(self.out.read()) == b""
            self.into.write(server.waiting())

    def read(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            return self.tls.read(1 << 20)
        return b""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def contexts(authority: trustme.CA, *, names: str | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the server, and of a client that shows a certificate with a name where one is given."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    if names is not None:
        authority.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
        authority.issue_cert(names).configure_cert(client)
    return server, client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_read_what_the_other_wrote(authority: trustme.CA, version: ssl.TLSVersion) -> None:
    (context, theirs), rng = contexts(authority), random.Random(0)
    theirs.minimum_version = theirs.maximum_version = version
    server, client = TlsSession(context), Client(theirs)
    client.greet(server)
    for size in (1, 100, 16384, 300_000):
        said = rng.randbytes(size)
        client.tls.write(said)
        travelling, heard = client.out.read(), b""
        for at in range(0, len(travelling), 5000):  # in pieces, as a network has them
            heard += server.opened(travelling[at : at + 5000])
        assert heard == said
        client.into.write(server.sealed(said))
        answer = b""
        while part := client.read():
            answer += part
        assert answer == said
    client.into.write(server.close_notify())
    assert client.read() == b""
    assert server.identity is None


def test_the_names_of_a_certificate_are_who_it_is(authority: trustme.CA) -> None:
    """Of a renewed one too; before hands were shaken it is nobody."""
    seen = set()
    for _ in range(2):
        context, theirs = contexts(authority, names="camera-7.example")
        server, client = TlsSession(context), Client(theirs)
        assert server.identity is None
        client.greet(server)
        assert client.tls.version() is not None
        seen.add(server.identity)
    assert len(seen) == 1
    assert "camera-7.example" in str(seen.pop())


def test_a_client_of_another_authority_is_told_and_refused(authority: trustme.CA) -> None:
    context, _ = contexts(authority, names="camera-7.example")
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(stranger)
    trustme.CA().issue_cert("camera-7.example").configure_cert(stranger)
    server, client = TlsSession(context), Client(stranger)
    with pytest.raises(ssl.SSLError):
        client.greet(server)
    assert server.waiting(), "the alert"
    assert server.identity is None
    assert server.close_notify() == b""


@pytest.mark.parametrize("seed", range(30))
def test_noise_is_refused_or_waited_on(authority: trustme.CA, seed: int) -> None:
    """A hello of chance, and a true one with a byte changed: an SSLError or nothing, never plain text."""
    rng = random.Random(seed)
    context, theirs = contexts(authority)
    client = Client(theirs)
    with suppress(ssl.SSLWantReadError):
        client.tls.do_handshake()
    hello = bytearray(client.out.read())
    hello[rng.randrange(len(hello))] ^= 1 << rng.randrange(8)
    for noise in (rng.randbytes(rng.randrange(1, 2000)), bytes(hello)):
        server = TlsSession(context)
        with suppress(ssl.SSLError):
            assert server.opened(noise) == b""


@pytest.mark.parametrize("seed", range(10))
def test_a_changed_byte_of_a_record_ends_the_connection(authority: trustme.CA, seed: int) -> None:
    context, theirs = contexts(authority)
    server, client = TlsSession(context), Client(theirs)
    client.greet(server)
    client.tls.write(b"a call" * 10)
    record = bytearray(client.out.read())
    record[random.Random(seed).randrange(5, len(record))] ^= 1
    with pytest.raises(ssl.SSLError):
        server.opened(bytes(record))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_nothing_is_kept_of_a_client_that_has_ended_tls(authority: trustme.CA, version: ssl.TLSVersion) -> None:
    """OpenSSL leaves what follows a close_notify where it is: it would stay there as long as the connection."""
    context, theirs = contexts(authority)
    theirs.minimum_version = theirs.maximum_version = version
    server, client = TlsSession(context), Client(theirs)
    client.greet(server)
    client.tls.write(b"a call")
    with suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert not server.is_over
    assert server.opened(client.out.read()) == b"a call"
    assert server.is_over
    for _ in range(3):
        assert server.opened(bytes(16384)) == b""
    assert server._in.pending == 0
