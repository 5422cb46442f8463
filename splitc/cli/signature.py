"""Options and output of commands that ask who signed what they use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import print_json

if TYPE_CHECKING:
    from splitc.bundle import Bundle

Signers = Annotated[
    list[Path] | None,
    typer.Option(
        "--require-signature", metavar="KEY.pub", help="Refuse what this key did not sign; repeat for several keys."
    ),
]


def open_checked(place: Path, signers: Sequence[Path] | None) -> Bundle:
    """A bundle; where signers are named, one of them must have signed it.

    Raises:
        BundleError: Damaged.
        SignatureError: Not signed by any of them, or a step back.
        CapabilityError: Checking needs the extra ``sign``.
    """
    from splitc.bundle import open_bundle

    if not signers:
        return open_bundle(place)
    from splitc.signing import open_trusted

    return open_trusted(place, signers)


def print_signature(what: Path, keys: Sequence[Path], json: bool) -> None:
    """Who signed a bundle or an update; nothing in it is used, and no release is remembered.

    Raises:
        SignatureError: None of the keys.
    """
    from splitc.bundle import open_bundle
    from splitc.signing import Trust

    trust = Trust(keys)
    statement = trust.bundle(open_bundle(what)) if what.is_dir() else trust.update(what)[1]
    if json:
        print_json({"ok": True, **statement.model_dump(by_alias=True)})
        return
    print(f"{what}: {statement.kind} {statement.name!r}, release {statement.release}, signed by {statement.key[:12]}")
