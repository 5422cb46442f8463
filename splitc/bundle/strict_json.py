"""JSON as bundles hold it: one spelling for each value when written, no surprises when read."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from splitc.errors import BundleError, SplitcError


def canonical_json(value: object) -> bytes:
    """ASCII, keys sorted, two spaces a level, one newline at the end. FORMAT.md §2.

    Raises:
        ValueError: A number is not finite, or the value is not JSON.
    """
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")


def parse_json(data: bytes, what: str, refusal: type[SplitcError] = BundleError, *, has_paths: bool = False) -> Any:
    """Parse bytes that nobody vouches for.

    Args:
        data: At most as many bytes as the caller is ready to hold.
        what: How messages name the document.
        refusal: Class of the errors.
        has_paths: Paths may stand in it, whose bytes that are no UTF-8 are U+DC80 to U+DCFF, as Python keeps them.

    Raises:
        SplitcError: Not UTF-8, not JSON, a key twice in one object, a number that is not finite, a text that
            cannot be written again, or nesting too deep.
    """
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if _has_lone_surrogate(data, document, "surrogateescape" if has_paths else "strict"):
            raise ValueError("half a surrogate pair is no text")
        return document
    except UnicodeDecodeError as error:
        raise refusal(f"{what}: is not UTF-8 text (byte {error.start}).") from None
    except json.JSONDecodeError as error:
        raise refusal(f"{what}: is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise refusal(f"{what}: is nested too deeply.") from None
    except ValueError as error:
        raise refusal(f"{what}: is refused: {error}.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} occurs twice in one object")
    return table


def _has_lone_surrogate(data: bytes, document: object, errors: str) -> bool:
    """Whether a text cannot be written again: JSON's escapes can spell what UTF-8 cannot."""
    if b"\\ud" not in data.lower():
        return False
    try:
        json.dumps(document, ensure_ascii=False).encode(errors=errors)
    except UnicodeEncodeError:
        return True
    return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
