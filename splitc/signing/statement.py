"""What is signed: which bytes, of which name and release, by which key. FORMAT.md section 2."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError

from splitc.bundle import canonical_json, parse_json
from splitc.errors import SignatureError
from splitc.types import Frozen

SCHEMA = 1
MAX_STATEMENT_BYTES = 1 << 14
MAX_RELEASE = (1 << 53) - 1
"""Every JSON reader has integers up to here."""
DOMAIN = b"splitc statement 1\n"
"""Before the signed bytes, so that no other message is taken for a statement."""
Kind = Literal["bundle", "update"]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9 ._+-]{0,119}$")]


class Statement(Frozen):
    """A signed statement about a bundle or an update."""

    model_config = ConfigDict(strict=True)

    schema_version: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA, description="version of FORMAT.md")
    kind: Kind = Field(description="what is signed")
    name: Name = Field(description="the bundle's name, or the one that the updates of a container share")
    release: int = Field(ge=1, le=MAX_RELEASE, description="never goes down for one key, kind and name")
    sha256: Hex64 = Field(description="of the manifest in canonical JSON, or of the update")
    key: Hex64 = Field(description="SHA-256 of the 32 bytes of the public key")
    signature: Hex128 = Field(description="ed25519, of the other fields")

    @property
    def message(self) -> bytes:
        """The bytes that are signed: everything but the signature."""
        return DOMAIN + canonical_json(self.model_dump(by_alias=True, exclude={"signature"}))

    def to_bytes(self) -> bytes:
        """The file."""
        return canonical_json(self.model_dump(by_alias=True))


def statement_from_bytes(data: bytes, where: str) -> Statement:
    """Parse a statement that nobody vouches for; its signature is not looked at.

    Raises:
        SignatureError: It is none, or of a schema that this version does not read.
    """
    table = parse_json(data, where, SignatureError)
    try:
        return Statement.model_validate(table)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:60] for part in fault["loc"]) or "document"
        raise SignatureError(f"{where}: is no signature: {place!r}: {fault['msg'].lower()}.") from None
