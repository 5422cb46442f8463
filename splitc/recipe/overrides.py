"""``--set key=value``: one key of the recipe replaced from the command line."""

from __future__ import annotations

import datetime
import os
from typing import Any

from splitc.recipe.locate import KeyPath
from splitc.recipe.toml import parse_toml
from splitc.recipe.values import shown

FILE_KEYS: tuple[tuple[str, ...], ...] = (
    ("model", "source"),
    ("data", "calibration"),
    ("data", "verification"),
    ("data", "labels"),
    ("data", "classes"),
    ("recovery", "data"),
    ("link", "trace"),
    *(("target", side, key) for side in ("edge", "cloud") for key in ("profile", "device")),
)
"""Keys whose values are paths, or lists of them."""


def apply_override(table: dict[str, Any], text: str) -> KeyPath:
    """Set one key in ``table``, in place.

    The value is TOML; what is not TOML is text, so ``codec.entropy=rans`` and ``split.at=[layer3/out, 495]`` need no
    quotes. Paths are those of the current folder, as in any command, and become absolute.

    Args:
        table: The parsed recipe.
        text: ``key=value``; the key may be dotted and quoted as in TOML.

    Returns:
        Path of the key.

    Raises:
        ValueError: The text is not ``key=value``, or goes through a key that is not a table.
    """
    path, raw = _split(text)
    whole = table
    for depth, key in enumerate(path[:-1], 1):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(path[:depth])} is not a table")
    table[path[-1]] = _value(raw)
    for file_key in FILE_KEYS:
        if file_key[: len(path)] == path:
            _from_here(whole, file_key)
    return path


def _from_here(table: Any, key: tuple[str, ...]) -> None:
    """Make absolute what a key of files holds; what is of another type stays for the schema to refuse."""
    for name in key[:-1]:
        table = table.get(name) if isinstance(table, dict) else None
    value = table.get(key[-1]) if isinstance(table, dict) else None
    if isinstance(value, str):
        table[key[-1]] = _absolute(value, key)
    elif isinstance(value, list):
        table[key[-1]] = [_absolute(item, key) if isinstance(item, str) else item for item in value]


def _absolute(value: str, key: tuple[str, ...]) -> str:
    is_name = value.startswith(("zoo:", "package:")) or (key[-1] == "device" and not value.endswith(".toml"))
    return value if is_name or not value.strip() else os.path.abspath(value)


def _split(text: str) -> tuple[tuple[str, ...], str]:
    """Key path and value text, at the first ``=`` that leaves a TOML key before it."""
    if not _is_text(text):
        raise ValueError("must be UTF-8 text without control characters")
    at = text.find("=")
    while at >= 0:
        if path := _key_path(text[:at]):
            if not text[at + 1 :].strip():
                raise ValueError("needs a value after '='")
            return path, text[at + 1 :].strip()
        at = text.find("=", at + 1)
    raise ValueError("must look like key=value, for instance codec.bits=4")


def _key_path(key: str) -> tuple[str, ...]:
    """Parts of a dotted key; empty when it is none."""
    parsed = _parsed(f"{key} = 0")
    path = []
    while isinstance(parsed, dict) and len(parsed) == 1:
        ((part, parsed),) = parsed.items()
        path.append(part)
    return tuple(path) if parsed == 0 and type(parsed) is int else ()


def _value(raw: str) -> Any:
    parsed = _parsed(f"value = {raw}")
    value = parsed["value"] if isinstance(parsed, dict) and parsed.keys() == {"value"} else None
    if value is not None and not isinstance(value, (datetime.date, datetime.time)):
        return value
    if raw.startswith("[") and raw.endswith("]"):
        return [_value(item.strip()) for item in raw[1:-1].split(",") if item.strip()]
    return raw


def _parsed(line: str) -> Any:
    try:
        return parse_toml(line)
    except (ValueError, RecursionError):
        return None


def _is_text(text: str) -> bool:
    return all(char.isprintable() or char in " \t" for char in text)


def override_label(text: str) -> str:
    """How messages name an override: by its key."""
    key = text.partition("=")[0].strip()
    return f"--set {key}" if key and key.isprintable() else f"--set {shown(text)}"
