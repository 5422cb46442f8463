"""FORMAT.md and the code say the same; equal statements are equal bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import splitc.signing
from splitc.errors import SignatureError
from splitc.signing import Statement, statement
from splitc.signing.statement import DOMAIN, MAX_RELEASE, MAX_STATEMENT_BYTES, SCHEMA, statement_from_bytes

FORMAT = (Path(splitc.signing.__file__).parent / "FORMAT.md").read_text("utf-8")
GOOD = Statement(schema=1, kind="bundle", name="x", release=1, sha256="a" * 64, key="b" * 64, signature="c" * 128)


def test_fields() -> None:
    section = FORMAT.split("## 2. Statement\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    fields = [re.match(r"\| `(\w+)`", row)[1] for row in rows]  # type: ignore[index]
    assert fields == [field.alias or name for name, field in Statement.model_fields.items()]


def test_numbers() -> None:
    assert f"Version {SCHEMA}." in FORMAT
    assert f"At most {MAX_STATEMENT_BYTES} bytes" in FORMAT
    assert MAX_RELEASE == 2**53 - 1
    assert "2^53 - 1" in FORMAT
    assert f"{len(DOMAIN)} bytes `{DOMAIN.decode().strip()}\\n`" in FORMAT


def test_the_signed_bytes_are_pinned() -> None:
    fields = [f'"key": "{"b" * 64}"', '"kind": "bundle"', '"name": "x"', '"release": 1', '"schema": 1']
    body = ",\n".join(f"  {one}" for one in [*fields, f'"sha256": "{"a" * 64}"'])
    assert GOOD.message == f"splitc statement 1\n{{\n{body}\n}}\n".encode()


def test_round_trip() -> None:
    assert statement_from_bytes(GOOD.to_bytes(), "here") == GOOD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"schema": 2}, "'schema'", id="newer"),
        pytest.param({"kind": "engine"}, "'kind'", id="kind"),
        pytest.param({"name": "../x"}, "'name'", id="path"),
        pytest.param({"name": "a\x1b[2J"}, "'name'", id="escape"),
        pytest.param({"name": "a\n"}, "'name'", id="newline"),
        pytest.param({"release": 0}, "'release'", id="zero"),
        pytest.param({"release": True}, "'release'", id="bool"),
        pytest.param({"release": 1.0}, "'release'", id="float"),
        pytest.param({"release": 1 << 53}, "'release'", id="huge"),
        pytest.param({"sha256": "A" * 64}, "'sha256'", id="upper"),
        pytest.param({"signature": "c" * 126}, "'signature'", id="short"),
        pytest.param({"more": 1}, "'more'", id="more"),
    ],
)
def test_what_is_no_statement(change: dict[str, object], words: str) -> None:
    data = json.dumps({**GOOD.model_dump(by_alias=True), **change}).encode()
    with pytest.raises(SignatureError, match=words):
        statement_from_bytes(data, "here")


@pytest.mark.parametrize("field", ["schema", "kind", "name", "release", "sha256", "key", "signature"])
def test_every_field_is_needed(field: str) -> None:
    table = GOOD.model_dump(by_alias=True)
    del table[field]
    with pytest.raises(SignatureError, match=f"'{field}'"):
        statement_from_bytes(json.dumps(table).encode(), "here")


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'{"schema": 1, "schema": 1}', b"NaN", b"[" * 100_000, b"\xff"])
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(SignatureError):
        statement.statement_from_bytes(data, "here")
