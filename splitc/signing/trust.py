"""Check what is signed against the keys that the user names, and against the releases seen before."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from splitc import files
from splitc.bundle import SIGNATURE, Bundle, open_bundle
from splitc.errors import SignatureError, UsageError
from splitc.signing.keys import PublicKey, read_public
from splitc.signing.releases import refuse_older, remember
from splitc.signing.sign import MAX_UPDATE_BYTES, statement_path
from splitc.signing.statement import MAX_STATEMENT_BYTES, Kind, Statement, statement_from_bytes


class Trust:
    """The keys that may vouch.

    Args:
        places: Files of public keys; one of them must have signed.

    Raises:
        UsageError: A file is no public key.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self.places = tuple(places)
        self._keys: dict[str, PublicKey] = {key.id: key for key in map(read_public, places)}

    def bundle(self, bundle: Bundle) -> Statement:
        """The statement about a bundle whose files were all checked against its manifest.

        Raises:
            SignatureError: None, damaged, by another key, about another manifest, or an older release.
            UsageError: A key lies in the bundle.
        """
        inside = [one for one in self.places if files.lies_in(one, bundle.path)]
        if inside:
            raise UsageError(f"{inside[0]}: lies in the bundle that it should vouch for; take the key from elsewhere.")
        if not bundle.is_signed:
            raise SignatureError(f"{bundle.path}: is not signed; have it signed with splitc sign, or fetch it again.")
        where = bundle.path / SIGNATURE
        data = files.read_bounded(where, MAX_STATEMENT_BYTES, "a signature", SignatureError)
        digest = files.sha256_bytes(bundle.manifest.to_bytes())
        return self._checked(data, where, ("bundle", bundle.name, digest))

    def update(self, update: Path) -> tuple[bytes, Statement]:
        """The bytes of an update, read once, and the statement about them.

        Raises:
            SignatureError: As :meth:`bundle`.
            UsageError: The update cannot be read.
        """
        data, where = files.read_bounded(update, MAX_UPDATE_BYTES, "an update"), statement_path(update)
        if not where.exists():
            raise SignatureError(f"{update}: is not signed: there is no {where.name} beside it.")
        statement = files.read_bounded(where, MAX_STATEMENT_BYTES, "a signature", SignatureError)
        return data, self._checked(statement, where, ("update", None, files.sha256_bytes(data)))

    def _checked(self, data: bytes, where: Path, expected: tuple[Kind, str | None, str]) -> Statement:
        """The statement in ``data``; ``expected`` is the kind, the name where it is known, and the hash."""
        statement = statement_from_bytes(data, str(where))
        key = self._keys.get(statement.key)
        if key is None:
            names = ", ".join(one[:12] for one in self._keys)
            raise SignatureError(f"{where}: is by key {statement.key[:12]}, which is none of those named ({names}).")
        if not key.verifies(bytes.fromhex(statement.signature), statement.message):
            raise SignatureError(f"{where}: was not signed by key {key.id[:12]}: it was changed or made up.")
        kind, name, digest = expected
        if (statement.kind, statement.name) != (kind, statement.name if name is None else name):
            raise SignatureError(f"{where}: is about {statement.kind} {statement.name!r}, not about this {kind}.")
        if statement.sha256 != digest:
            what = "a manifest" if kind == "bundle" else "bytes"
            raise SignatureError(
                f"{where}: is about {what} of sha256 {statement.sha256[:12]}, found {digest[:12]}: "
                f"the {kind} was changed after it was signed."
            )
        refuse_older(statement)
        return statement


def open_trusted(place: Path, keys: Sequence[Path]) -> Bundle:
    """Open a bundle to use it; one of ``keys`` must have signed it, where any are named, and its release is remembered.

    Raises:
        BundleError: It is damaged.
        SignatureError: No statement of these keys about it, or a step back to an older release.
    """
    bundle = open_bundle(place)
    if keys:
        remember(Trust(keys).bundle(bundle))
    return bundle


def trusted_update(update: Path, keys: Sequence[Path]) -> BinaryIO:
    """The bytes of an update that one of ``keys`` signed; its release is remembered.

    Raises:
        SignatureError: As :meth:`Trust.update`.
        UsageError: The update cannot be read.
    """
    data, statement = Trust(keys).update(update)
    remember(statement)
    return BytesIO(data)
