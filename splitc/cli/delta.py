"""``splitc delta make | apply | rollback``: updates of a deployed weight container."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.signature import Signers
from splitc.errors import CheckFailed

delta = typer.Typer(name="delta", help="Update a deployed weight container with far fewer bytes.", no_args_is_help=True)
app.add_typer(delta)
MaxBytes = Annotated[int | None, typer.Option("--max-bytes", min=1, help="Refuse, exit 1, above this size.")]


@delta.command()
def make(
    base: Annotated[Path, typer.Argument(help="The deployed container.")],
    target: Annotated[Path, typer.Argument(help="The container it is to become.")],
    out: Annotated[Path, typer.Option("--out", help="The delta.")],
    max_bytes: MaxBytes = None,
    json: Json = False,
) -> None:
    """Write the update from one container to another."""
    from splitc import driver, files, weights

    driver.refuse_own_files([out], [base, target])
    with weights.open_container(base) as old, weights.open_container(target) as new:
        data = weights.delta_bytes(old, new)
        document = {
            "delta": str(out),
            "bytes": len(data),
            "base_bytes": base.stat().st_size,
            "ratio": len(data) / base.stat().st_size,
            "target_bytes": target.stat().st_size,
            "base": old.header.content.hex(),
            "target": new.header.content.hex(),
        }
    if max_bytes is not None and len(data) > max_bytes:
        if json:  # the numbers that did not hold are a document too
            print_json(document)
        raise CheckFailed(f"the delta has {len(data)} bytes, the limit is {max_bytes}; nothing was written.")
    files.write_file(out, data)
    if len(data) >= target.stat().st_size:
        size = f"{target.stat().st_size:,} bytes"
        say(f"note: {target} itself has {size}, no more than the delta: little of it is in the base; send {target}.")
    print_json(document) if json else print(f"{out}: {len(data):,} bytes, {100 * document['ratio']:.2f} % of the base")  # type: ignore[operator]


@delta.command()
def apply(
    base: Annotated[Path, typer.Argument(help="The deployed container; it is replaced.")],
    update: Annotated[Path, typer.Argument(metavar="DELTA", help="Made for this base.")],
    max_bytes: MaxBytes = None,
    require_signature: Signers = None,
    json: Json = False,
) -> None:
    """Update a container in place: all of it or nothing. The old one stays beside it for rollback."""
    from splitc import weights

    done = weights.apply_delta(base, _checked(update, require_signature), max_bytes)
    document = {
        "container": str(done.path),
        "previous": str(done.previous),
        "content": done.content,
        "changed_tensors": done.changed,
        "bytes": done.path.stat().st_size,
    }
    print_json(document) if json else print(f"{base}: {done.changed} tensors changed; before: {done.previous}")


def _checked(update: Path, signers: Sequence[Path] | None) -> Path | BinaryIO:
    """The update; where signers are named, the very bytes that one of them signed."""
    if not signers:
        return update
    from splitc.signing import trusted_update

    return trusted_update(update, signers)


@delta.command()
def rollback(
    base: Annotated[Path, typer.Argument(help="The container whose last update is taken back.")], json: Json = False
) -> None:
    """Take back the last update."""
    from splitc import weights

    weights.roll_back(base)
    print_json({"container": str(base)}) if json else print(f"{base}: the update is taken back")
