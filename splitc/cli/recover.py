"""``splitc recover BUNDLE``: train a bottleneck at the cut of a bundle, and build the pair anew with it."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitc.cli.app import Json, app, print_json, say
from splitc.cli.build import NoCache, Set, show
from splitc.errors import CheckFailed

if TYPE_CHECKING:
    from splitc.bundle import Bundle
    from splitc.recipe import Recipe

READS = ("model.source", "data.calibration", "data.verification", "data.labels", "data.classes", "recovery.data")


@app.command()
def recover(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="Unlabelled files to train on; else the recipe's.")
    ] = None,
    overrides: Set = None,
    base: Annotated[Path, typer.Option("--base", help="Folder that the recipe's relative paths refer to.")] = Path(),
    no_cache: NoCache = False,
    json: Json = False,
) -> None:
    """Train a bottleneck at the cut, without labels; kept where fewer bytes cross at equal answers."""
    from splitc import driver
    from splitc.bundle import open_bundle
    from splitc.cache import NO_CACHE, default_cache
    from splitc.cli.progress import make_watch

    read = _recipe(open_bundle(bundle), base, data or [], overrides or [])
    say(f"splitc: recovering {read.name}")
    try:
        built = driver.build(read, out, make_watch(), cache=NO_CACHE if no_cache else default_cache())
    except CheckFailed as error:  # the numbers that did not hold are a document too
        if json and error.document is not None:
            print_json(error.document)
        raise
    print_json(built.document) if json else show(built.document)


def _recipe(opened: Bundle, base: Path, data: list[str], overrides: list[str]) -> Recipe:
    """The bundle's own recipe at the bundle's own cut, with a bottleneck where it asks for none."""
    from splitc import driver

    own = driver.load_bundle_recipe(opened.recipe_path, base, READS)
    has_one = own.recovery is not None and own.recovery.bottleneck is not None
    asked = [] if has_one else ['recovery.bottleneck="auto"']
    asked += [f"recovery.data={json_format.dumps(data)}"] if data else []
    cut = [f"split.at={json_format.dumps(opened.read_json('report.json')['cut'])}"]
    read = driver.load_recipe(opened.recipe_path, [*cut, *asked, *overrides], base)
    if data and read.recovery is not None:  # the pin was of other files
        read = read.model_copy(update={"recovery": read.recovery.model_copy(update={"sha256": None})}).based_at(base)
    return read
