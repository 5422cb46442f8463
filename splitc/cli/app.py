"""The command line: parses, calls one function, prints. Text and progress go to stderr, ``--json`` to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer

from splitc import __version__
from splitc.errors import CheckFailed, SplitcError

app = typer.Typer(
    name="splitc",
    help="Cut one neural network in two and ship both halves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


def main() -> NoReturn:
    """Run a command; a refusal is one message on stderr and the exit code of its kind."""
    try:
        result = app(standalone_mode=False)
    except SplitcError as error:
        sys.exit(_refuse(error))
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's usage errors have it; anything else is our bug
            raise
        print(f"splitc: {error.format_message()} Try 'splitc --help'.", file=sys.stderr)
        sys.exit(2)
    if result == INTERRUPTED:  # some versions of typer return it, others raise
        print("splitc: interrupted; nothing half-written is left.", file=sys.stderr)
    sys.exit(result if isinstance(result, int) else 0)


def print_json(document: Mapping[str, Any]) -> None:
    """The one document of ``--json``."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str = "") -> None:
    """A line for people."""
    print(text, file=sys.stderr)


def _refuse(error: SplitcError) -> int:
    if isinstance(error, CheckFailed) and error.document is not None and "--json" in sys.argv:
        print_json(error.document)
    print(f"splitc: {error}", file=sys.stderr)
    return error.exit_code


def _print_version(asked: bool) -> None:
    if asked:
        print(f"splitc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...
