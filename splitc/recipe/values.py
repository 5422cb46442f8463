"""Values with a spelling of their own: shapes, sizes in bytes, paths and names.

Every parser takes what TOML gave and returns the canonical value; a ``ValueError`` carries the plain-word refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

MAX_RANK = 16
MAX_DIM = 2**31 - 1
MAX_LIST = 1024
"""Entries in any list of names, patterns or targets."""

_DIM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIMES_SHAPE = re.compile(r"[A-Za-z0-9_]+")
_NAMED_SHAPE = re.compile(r"(?P<name>.+):(?P<shape>\[[^\[\]]*\]|[A-Za-z0-9_]+)")
_SIZE = re.compile(r"(?P<number>\d{1,18}(?:\.\d{1,6})?)\s*(?P<unit>[A-Za-z]*)")
_PACKAGE = re.compile(r"package:[A-Za-z_]\w*/[^/].*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_shape(value: object) -> tuple[int | str, ...]:
    """``"Nx3x224x224"``, ``"[N, 3, 224, 224]"`` or a list to a tuple of sizes and dimension names."""
    if isinstance(value, str):
        value = _shape_items(value)
    if not isinstance(value, (list, tuple)):
        raise ValueError(f'must be a shape such as "Nx3x224x224" or ["N", 3, 224, 224], got {shown(value)}')
    if len(value) > MAX_RANK:
        raise ValueError(f"must have at most {MAX_RANK} dimensions, got {len(value)}")
    return tuple(_dim(item) for item in value)


def parse_shapes(value: object) -> object:
    """A table ``name -> shape``, or a ``"name:shape"`` text or a list of them, to a table."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, (list, tuple)):
        value = _shapes_from_texts(value)
    if isinstance(value, Mapping):
        return {name: parse_shape_of(name, shape) for name, shape in value.items()}
    return value


def parse_shape_of(name: str, shape: object) -> tuple[int | str, ...]:
    """:func:`parse_shape`, naming the input in the refusal."""
    try:
        return parse_shape(shape)
    except ValueError as error:
        raise ValueError(f"{shown(name)} {error}") from None


def parse_dims(value: object) -> object:
    """``{N = 4}`` means ``{N = {min = 4, opt = 4, max = 4}}``; anything else passes."""
    if not isinstance(value, Mapping):
        return value
    return {name: {"min": size} if type(size) is int else size for name, size in value.items()}


def parse_bytes(value: object) -> int:
    """``5000000``, ``"5MB"`` (10^6) or ``"800KiB"`` (2^10) to bytes."""
    if type(value) is int and value > 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or match["unit"].lower() not in _UNITS:
        raise ValueError(
            f'must be a number of bytes above 0, or text such as "5MB" or "800KiB" '
            f"(B, kB, MB, GB, KiB, MiB, GiB), got {shown(value)}"
        )
    size = Decimal(match["number"]) * _UNITS[match["unit"].lower()]
    if size < 1 or size != int(size):
        raise ValueError(f"must be a whole number of bytes above 0, got {shown(value)}")
    return int(size)


def parse_names(value: object) -> object:
    """One text, or a list of texts, to a tuple; ONNX names that are all digits may lack their quotes."""
    items = value if isinstance(value, (list, tuple)) else [value]
    if len(items) > MAX_LIST:
        raise ValueError(f"must list at most {MAX_LIST} items, got {len(items)}")
    return tuple(_name(item) for item in items)


def parse_at(value: object) -> object:
    """``"auto"``, one tensor name, or a list of different ones."""
    if value == "auto":
        return "auto"
    names = parse_names(value)
    if not names:
        raise ValueError('must be "auto" or at least one tensor name, got []')
    return _distinct(names)


def parse_patterns(value: object) -> object:
    """One path or glob, or a list of them; ``package:NAME/GLOB`` looks inside an installed package."""
    patterns = parse_names(value)
    assert isinstance(patterns, tuple)
    return tuple(check_path(pattern) for pattern in patterns)


def parse_capabilities(value: object) -> object:
    """A list of different compute capabilities written without the dot: 86, 89."""
    if not isinstance(value, (list, tuple)) or not value or not all(type(item) is int for item in value):
        raise ValueError(f"must be a list of whole numbers such as [80, 86, 89, 120], got {shown(value)}")
    if any(not 30 <= item <= 199 for item in value):
        raise ValueError(f"must hold compute capabilities without the dot, 30 to 199 (8.9 is 89), got {shown(value)}")
    return _distinct(tuple(value))


def check_path(path: str) -> str:
    """Refuse a path that no file system can hold, and a ``package:`` one that leaves its package."""
    if path.startswith("package:") and (not _PACKAGE.fullmatch(path) or ".." in path.split("/")):
        raise ValueError(f'must look like "package:NAME/glob" and stay inside the package, got {shown(path)}')
    return path


def check_sha256(digest: str | None) -> str | None:
    """Refuse what is not a SHA-256; lower case is the form kept."""
    if digest is None or (len(digest) == 64 and set(digest.lower()) <= set("0123456789abcdef")):
        return digest and digest.lower()
    raise ValueError(f"must be 64 hexadecimal digits, got {shown(digest)}")


def check_text(text: str) -> str:
    """Refuse empty text and control characters."""
    if not text.strip() or _CONTROL.search(text):
        raise ValueError(f"must be text without control characters, and not empty, got {shown(text)}")
    return text


def shown(value: object) -> str:
    """``value`` as a message shows it: TOML-like, one line, never long."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else _clipped_repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _clipped_repr(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of more than 77 digits"
    if isinstance(value, (str, list, tuple, dict, int, float)):
        return repr(list(value) if isinstance(value, tuple) else value)
    return str(value)


def _shape_items(text: str) -> list[object]:
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        items = [item.strip().strip("'\"") for item in inner[1:-1].split(",")] if inner[1:-1].strip() else []
    elif _TIMES_SHAPE.fullmatch(inner):
        items = inner.split("x")
    else:
        raise ValueError(f'must be a shape such as "Nx3x224x224" or ["N", 3, 224, 224], got {shown(text)}')
    return [int(item) if item.isascii() and item.isdigit() and len(item) < 12 else item for item in items]


def _dim(item: object) -> int | str:
    if type(item) is int and 1 <= item <= MAX_DIM:
        return item
    if isinstance(item, str) and _DIM_NAME.fullmatch(item):
        return item
    raise ValueError(
        f'has dimension {shown(item)}; a dimension is a size from 1 to {MAX_DIM} or a name such as "N" '
        "(write names that hold an x in a list)"
    )


def _shapes_from_texts(texts: list[object] | tuple[object, ...]) -> dict[str, object]:
    shapes: dict[str, object] = {}
    for text in texts:
        match = _NAMED_SHAPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f'must be a table, or texts such as "image:[1,3,H,W]" or "image:1x3x224x224", got {shown(text)}'
            )
        if match["name"] in shapes:
            raise ValueError(f"names {shown(match['name'])} twice")
        shapes[match["name"]] = match["shape"]
    return shapes


def _name(item: object) -> str:
    if type(item) is int:
        return shown(item)
    if not isinstance(item, str):
        raise ValueError(f"must be text or a list of texts, got {shown(item)}")
    return check_text(item)


def _distinct(items: Any) -> Any:
    for index, item in enumerate(items):
        if item in items[:index]:
            raise ValueError(f"lists {shown(item)} twice")
    return items


Text = Annotated[str, AfterValidator(check_text)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(parse_patterns)]
Bytes = Annotated[int, BeforeValidator(parse_bytes)]
Capabilities = Annotated[tuple[int, ...], BeforeValidator(parse_capabilities)]
