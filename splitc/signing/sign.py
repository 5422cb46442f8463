"""Sign a bundle or an update."""

from __future__ import annotations

from pathlib import Path

from splitc import files
from splitc.bundle import SIGNATURE, open_bundle
from splitc.errors import BundleError
from splitc.signing.keys import PrivateKey
from splitc.signing.statement import SCHEMA, Kind, Statement

SUFFIX = ".sig"
"""An update's statement stands beside it, under its name and this."""
MAX_UPDATE_BYTES = 1 << 32
"""A larger update is not signed: it is read as a whole before it is believed."""


def sign_bundle(place: Path, key: PrivateKey, release: int) -> Statement:
    """Check every file of a bundle, then put ``signature.json`` into it, in place of an earlier one.

    Args:
        place: The bundle.
        key: Whose owner vouches for it.
        release: Higher than that of every bundle of this name before.

    Raises:
        BundleError: It is damaged, or cannot be written.
    """
    place = place.resolve()
    with files.locked(place, refusal=BundleError):
        manifest = open_bundle(place).manifest
        statement = _signed(key, "bundle", manifest.name, release, files.sha256_bytes(manifest.to_bytes()))
        with files.as_refusals(place, BundleError), files.aside_folder(place) as aside:
            (aside / SIGNATURE).write_bytes(statement.to_bytes())  # beside the bundle: nothing hidden is ever in it
            files.move_into_place(aside / SIGNATURE, place / SIGNATURE)
    return statement


def sign_update(update: Path, key: PrivateKey, release: int, name: str) -> Statement:
    """Write ``UPDATE.sig`` beside an update.

    Args:
        update: A delta.
        key: Whose owner vouches for it.
        release: Higher than that of every update of this name before.
        name: What the updates of one container have in common.

    Raises:
        UsageError: The update cannot be read, or the signature not written.
        SignatureError: The name is none that a statement holds.
    """
    data = files.read_bounded(update, MAX_UPDATE_BYTES, "an update")
    statement = _signed(key, "update", name, release, files.sha256_bytes(data))
    files.write_file(statement_path(update), statement.to_bytes())
    return statement


def statement_path(update: Path) -> Path:
    """Where the statement about an update stands."""
    return update.with_name(f"{update.name}{SUFFIX}")


def _signed(key: PrivateKey, kind: Kind, name: str, release: int, sha256: str) -> Statement:
    unsigned = Statement(
        schema=SCHEMA, kind=kind, name=name, release=release, sha256=sha256, key=key.public.id, signature="0" * 128
    )
    return unsigned.model_copy(update={"signature": key.sign(unsigned.message).hex()})
