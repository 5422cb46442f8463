"""Named choices of the parts; a recipe's ``codec.profile``. A spelled part replaces the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import ValidationError

from splitc.codec.spec import CodecSpec
from splitc.errors import UsageError
from splitc.registry import nearest


def fast() -> CodecSpec:
    """Static tables: 0.1 to 1 G elements a second. What a recipe gets that says nothing."""
    return CodecSpec()


def balanced() -> CodecSpec:
    """Even steps over the whole range instead of a clipped one: fewer bits at equal KL, for larger tables.

    Decodes to the middle of a step: means of steps shrink features, which harms as a dead zone does (tests/bench).
    """
    return CodecSpec(quantizer="step", reconstruction="midpoint")


PROFILES: Mapping[str, CodecSpec] = MappingProxyType({"fast": fast(), "balanced": balanced()})


def spec_from_text(text: str) -> CodecSpec:
    """A spec from ``PROFILE,key=value,...``; both parts may be left out, and no text is "fast".

    Raises:
        UsageError: Unknown profile or key, a value out of range, or parts that do not go together.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    profile = words.pop(0) if words and "=" not in words[0] else "fast"
    if profile not in PROFILES:
        raise UsageError(f"unknown codec profile {profile!r}.{nearest(profile, dict(PROFILES))}")
    options = dict(_key_and_value(word) for word in words)
    try:
        spec = CodecSpec(**(PROFILES[profile].model_dump() | options))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"codec: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
    spec.resolved()  # refuses what the components do
    return spec


def _key_and_value(word: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in word.partition("="))
    if not equals:
        raise UsageError(f"codec: {word!r} is not key=value.")
    if key not in CodecSpec.model_fields:
        raise UsageError(f"codec: unknown key {key!r}.{nearest(key, list(CodecSpec.model_fields))}")
    return key, value
