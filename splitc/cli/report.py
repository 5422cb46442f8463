"""``splitc report BUNDLE``: the page again, from the bundle's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from splitc.cli.app import Json, app, print_json
from splitc.errors import BundleError, UsageError


@app.command()
def report(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; else the bundle's own page is named.")
    ] = None,
    json: Json = False,
) -> None:
    """Write one self-contained HTML page: the cut, the rate, the fidelity, the pictures."""
    from splitc.bundle import open_bundle
    from splitc.files import lies_in
    from splitc.report import write_page

    opened = open_bundle(bundle)
    if out is not None and lies_in(out, bundle):
        raise UsageError(f"{out}: is inside the bundle, which is sealed; choose another place.")
    numbers = opened.read_json("report.json")
    place = opened.file("report.html") if out is None else write_page(_page(bundle, numbers), out)
    print_json({"report": str(place), "numbers": numbers}) if json else print(place)


def _page(bundle: Path, numbers: Any) -> str:
    """The page of a document that may be a stranger's.

    Raises:
        BundleError: It lacks a number, or has something else in its place.
    """
    from splitc.report import page, page_fault

    if fault := page_fault(numbers):
        raise BundleError(f"{bundle}: report.json is no report that this version shows ({fault}); build it again.")
    return page(numbers)
