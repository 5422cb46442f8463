"""``splitc engine BUNDLE --side edge``: build on the device what the bundle left to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.names import pairs
from splitc.cli.option_rules import SIDES, Excludes, check_options, one_of
from splitc.cli.options import grouped
from splitc.cli.signature import Signers, open_checked

if TYPE_CHECKING:
    from splitc.backends import Order
    from splitc.bundle import Bundle

RULES = (Excludes("check", ("force",), "it builds nothing"),)


@dataclass(frozen=True)
class EngineChoice:
    """Which engine, where it is kept, and how it is built."""

    side: Annotated[str, typer.Option("--side", help="edge or cloud.")]
    target: Annotated[str | None, typer.Option("--target", help="Which engine, if several are left to build.")] = None
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the engine; else the user's cache.")] = None
    option: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the backend, such as workspace_mb=512.")
    ] = None


@app.command()
@grouped
def engine(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    choice: EngineChoice,
    check: Annotated[bool, typer.Option("--check", help="Build nothing; exit 1 if the engine is stale.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build again even if nothing has changed.")] = False,
    require_signature: Signers = None,
    json: Json = False,
) -> None:
    """Build the engine of one side on the machine where it runs; does nothing if it is already built."""
    from splitc.cli.progress import phases
    from splitc.runtime import check_engine, finish_engine

    check_options(context, RULES)
    one_of("--side", choice.side, SIDES)
    opened = open_checked(bundle, require_signature)
    order = _order(opened, choice)
    identity = {"side": choice.side, "target": order.target, "backend": order.backend}
    if check:
        path = check_engine(opened, order, choice.out)
        print_json({**identity, "status": "current", "path": str(path)}) if json else say(f"{path} is current.")
        return
    with phases() as progress:
        done = finish_engine(opened, order, choice.out, progress, force=force)
    if json:
        print_json({**identity, **done.model_dump(mode="json")})
        return
    say(f"{done.path}: {done.status}, {done.engine_bytes:,} bytes, {done.seconds:.1f} s")


def _order(bundle: Bundle, choice: EngineChoice) -> Order:
    from splitc.runtime import find_order, with_options

    order = find_order(bundle, "edge" if choice.side == "edge" else "cloud", choice.target)
    return with_options(order, pairs(choice.option or []))
