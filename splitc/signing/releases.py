"""The highest release that this user has used, by key, kind and name: an older one is a step back."""

from __future__ import annotations

from pathlib import Path

from splitc import files
from splitc.bundle import canonical_json, parse_json
from splitc.errors import SignatureError, UsageError
from splitc.signing.statement import MAX_RELEASE, Statement

MAX_BYTES = 1 << 22


def releases_path() -> Path:
    """The file, which a device keeps when its cache is emptied."""
    return files.state_folder("releases.json")


def refuse_older(statement: Statement) -> None:
    """Compare with what was used before; changes nothing.

    Raises:
        SignatureError: A later release was used.
        UsageError: The file is damaged.
    """
    _check(statement, _read())


def remember(statement: Statement) -> None:
    """What is used now is the least that is accepted from now on.

    Raises:
        SignatureError: A later release was used meanwhile.
        UsageError: The file is damaged or cannot be written.
    """
    path = releases_path()
    if _read().get(_key(statement)) == statement.release:
        return
    with files.as_refusals(path, UsageError):
        path.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(path):
        known = _read()
        _check(statement, known)
        files.write_file(path, canonical_json({**known, _key(statement): statement.release}))


def _check(statement: Statement, known: dict[str, int]) -> None:
    used = known.get(_key(statement), 0)
    if statement.release < used:
        raise SignatureError(
            f"{statement.kind} {statement.name!r}: is release {statement.release}, and release {used} was used here: "
            "a step back. Fetch the current one; to go back on purpose, sign the old one under a new release."
        )


def _key(statement: Statement) -> str:
    return f"{statement.key} {statement.kind} {statement.name}"


def _read() -> dict[str, int]:
    path = releases_path()
    if not path.exists():
        return {}
    table = parse_json(files.read_bounded(path, MAX_BYTES), str(path), UsageError)
    if not isinstance(table, dict) or not all(type(one) is int and 1 <= one <= MAX_RELEASE for one in table.values()):
        raise UsageError(f"{path}: is not what splitc wrote; restore it, or remove it to forget which releases ran.")
    return table
