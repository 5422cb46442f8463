"""The command line: parses, calls one function, prints. Text and progress go to stderr, ``--json`` to stdout."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Annotated, Any, NoReturn, TextIO

import typer

from splitc.cli.plain_text import plain, plain_json
from splitc.errors import SplitcError, UsageError
from splitc.files import DEFAULT_MEMORY_BYTES, set_memory_budget, sweep_temporary
from splitc.version import __version__

app = typer.Typer(
    name="splitc",
    help="Cut one neural network in two and ship both halves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143
"""Exit codes after Ctrl-C, a pipe that nobody reads and SIGTERM, as shells have them."""
COMPILER = ("onnx", "onnx_ir", "tomli_w")
"""Packages of the extra ``build``, which a device does without."""
STOPPED = {INTERRUPTED: "interrupted", TERMINATED: "terminated"}
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]


class _Answer:
    """stdout, whose failures are told from those of any other file: a full disk, or ``>&-``."""

    def __init__(self, stream: TextIO | None) -> None:
        self._is_closed = stream is None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be bytes that no encoding has
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115  # until the process ends

    def write(self, text: str) -> int:
        if self._is_closed:
            raise UsageError("the output cannot be written: stdout is closed.")
        with self._refusing():
            self._stream.write(plain(text))
        return len(text)

    def flush(self) -> None:
        with self._refusing():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with suppress(OSError, ValueError):  # what is still buffered goes nowhere, or it would fail again at exit
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if isinstance(error, BrokenPipeError):
                raise
            raise UsageError(f"the output cannot be written to stdout ({error.strerror}).") from error


class _Terminated(BaseException):
    """SIGTERM came. Like KeyboardInterrupt it passes every ``except Exception`` and runs every ``finally``."""


def main() -> NoReturn:
    """Run a command; a refusal is one message on stderr and the exit code of its kind."""
    logging.getLogger("onnx_ir").addHandler(logging.NullHandler())  # what matters in a graph is said by us
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # and of a connection too
    sweep_temporary()
    with _terminable(), redirect_stdout(_Answer(sys.stdout)), warnings.catch_warnings():
        if not sys.warnoptions:  # python -W asks for them
            warnings.simplefilter("ignore")
        code = _run()
        code = _flush() or code
    _drop_unsaid()
    sys.exit(code)


def _run() -> int:
    try:
        result = app(standalone_mode=False)
    except SplitcError as error:
        say(f"splitc: {error}")
        return error.exit_code
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        result = INTERRUPTED
    except _Terminated:
        result = TERMINATED
    except (BrokenPipeError, SystemExit):  # splitc ... | head, of which typer makes an exit with 1
        return UNREAD
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # the user's, whichever path it is
            raise
        say(f"splitc: {str(error.filename)[:60]}...: no file has so long a name; give a shorter one.")
        return 2
    except ModuleNotFoundError as error:
        if error.name not in COMPILER:
            raise
        say(f"splitc: this command needs the compiler ({error.name}), which is not here: pip install 'splitc[build]'.")
        return 3
    except MemoryError:
        say("splitc: there is not enough memory for this here; free some, or use a machine that has more.")
        return 3
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's usage errors have it; anything else is our bug
            raise
        if text := error.format_message():  # without arguments the help is there already
            say(f"splitc: {_sentence(text)} Try 'splitc --help'.")
        return 2
    if result in STOPPED:  # some versions of typer return 130, others raise
        say(f"splitc: {STOPPED[result]}; nothing half-written is left.")
    return result if isinstance(result, int) else 0


def _flush() -> int:
    """Write what is buffered while a failure can still be said."""
    try:
        sys.stdout.flush()
    except SplitcError as error:
        say(f"splitc: {error}")
        return error.exit_code
    except BrokenPipeError:
        return UNREAD
    return 0


def _drop_unsaid() -> None:
    """Lines for people that a full disk has no room for: left in the buffer, they would change the exit code."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full; closed; none at all
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does. Only a main thread may say so; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise _Terminated


def print_json(document: Mapping[str, Any]) -> None:
    """The one document of ``--json``; in ASCII where stdout takes no more.

    Bytes of a file name that are not UTF-8 stand as ``\\udc80`` to ``\\udcff``, from which ``os.fsencode`` makes them.
    """
    text = json.dumps(document, indent=2, ensure_ascii=not _is_utf8(sys.stdout), allow_nan=False)
    print(plain_json(text))


def _is_utf8(stream: TextIO) -> bool:
    """Whether any text can be written; a stream of text alone, as in tests, has no encoding."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-") in ("utf-8", "utf8")


def say(text: str = "") -> None:
    """A line for people."""
    print(plain(text), file=sys.stderr)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"splitc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    max_memory: Annotated[
        str | None,
        typer.Option(
            envvar="SPLITC_MAX_MEMORY", metavar="SIZE", help="Memory that a file may take when read. [default: 1GiB]"
        ),
    ] = None,
) -> None:
    set_memory_budget(_size(max_memory) if max_memory else DEFAULT_MEMORY_BYTES)


def _size(text: str) -> int:
    from splitc.recipe import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"--max-memory: {error}.") from error
