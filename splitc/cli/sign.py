"""``splitc keygen KEY`` and ``splitc sign WHAT --key KEY --release N``: who vouches for a bundle or an update."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json
from splitc.errors import UsageError

if TYPE_CHECKING:
    from splitc.signing import Statement

MAX_PASSPHRASE_BYTES = 1024
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File whose first line encrypts the private key.")
]


@app.command()
def keygen(
    key: Annotated[Path, typer.Argument(help="File of the private key; the public one becomes KEY.pub.")],
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> None:
    """Make a pair of ed25519 keys: the private one signs, the public one goes to every device."""
    from splitc.signing import new_key

    public = new_key(key, _passphrase(passphrase_file))
    document = {"private": str(key), "public": f"{key}.pub", "key": public.id}
    print_json(document) if json else print(f"{key}: key {public.id[:12]}; give {key}.pub to those who check")


@app.command()
def sign(
    what: Annotated[Path, typer.Argument(help="A bundle, or an update of splitc delta make.")],
    key: Annotated[Path, typer.Option("--key", help="The private key, outside the bundle.")],
    release: Annotated[int, typer.Option("--release", min=1, help="Higher than that of everything signed before.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Of an update: what all updates of one container are called.")
    ] = None,
    passphrase_file: Passphrase = None,
    json: Json = False,
) -> None:
    """Sign a bundle, or an update: the signature goes into the bundle, or beside the update as UPDATE.sig."""
    statement = _signed(what, (key, passphrase_file), release, name)
    document = {"signed": str(what), **statement.model_dump(by_alias=True)}
    words = f"{what}: {statement.kind} {statement.name!r}, release {release}, signed by key {statement.key[:12]}"
    print_json(document) if json else print(words)


def _signed(what: Path, key: tuple[Path, Path | None], release: int, name: str | None) -> Statement:
    """``key`` is the private key's file and its passphrase's."""
    from splitc.files import lies_in
    from splitc.signing import read_private, sign_bundle, sign_update

    place, passphrase_file = key
    if what.is_dir() and lies_in(place, what):
        raise UsageError(f"{place}: lies in the bundle, which is given away; keep a private key elsewhere.")
    if what.is_dir() and name is not None:
        raise UsageError(f"{what}: a bundle has its recipe's name; leave out --name.")
    if not what.is_dir() and name is None:
        raise UsageError(f"{what}: an update needs --name, the same for all updates of one container.")
    private = read_private(place, _passphrase(passphrase_file))
    return sign_bundle(what, private, release) if name is None else sign_update(what, private, release, name)


def _passphrase(place: Path | None) -> str | None:
    from splitc.files import read_bounded

    if place is None:
        return None
    lines = read_bounded(place, MAX_PASSPHRASE_BYTES, "a passphrase").decode("utf-8", "replace").splitlines()
    if not lines or not lines[0]:
        raise UsageError(f"{place}: its first line is empty, so it is no passphrase.")
    return lines[0]
