"""Named choices of the parts; a recipe's ``codec.profile``. A spelled part replaces the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from splitc.codec.parts import PARTS, option_names
from splitc.codec.spec import CodecSpec
from splitc.errors import UsageError
from splitc.registry import nearest


def fast() -> CodecSpec:
    """Even steps, decoded to their middles, and static tables. What a recipe gets that says nothing."""
    return CodecSpec()


def balanced() -> CodecSpec:
    """The same with more tables: fewer bits on wide feature maps, never more; slower, and a larger contract."""
    return CodecSpec(contexts="wide")


PROFILES: Mapping[str, CodecSpec] = MappingProxyType({"fast": fast(), "balanced": balanced()})


def with_profile(profile: str, spelled: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that ``profile`` and ``spelled`` ask for together: what is spelled, and what of the profile it leaves.

    An option goes with its part: where another quantizer, temporal or entropy coder is spelled, the options that the
    profile gives to its own do not apply.

    Args:
        profile: One of :data:`PROFILES`.
        spelled: Names of parts, and options; values are not looked at but for the names of parts.

    Raises:
        UsageError: Unknown profile.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown codec profile {profile!r}.{nearest(profile, dict(PROFILES))}")
    spec = PROFILES[profile]
    given = spec.model_dump(exclude_defaults=True)
    for part, registry in PARTS.items():
        its_own = getattr(spec, part)
        if spelled.get(part, its_own) != its_own:
            given = {key: value for key, value in given.items() if key not in registry.load(its_own).model_fields}
    return {**given, **spelled}


def spec_from_text(text: str) -> CodecSpec:
    """A spec from ``PROFILE,key=value,...``; both parts may be left out, and no text is "fast".

    Raises:
        UsageError: Unknown profile or key, a value out of range, or parts that do not go together.
        CapabilityError: A part needs an extra that is not installed.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    profile = words.pop(0) if words and "=" not in words[0] else "fast"
    options: dict[str, str] = {}
    for key, value in map(_key_and_value, words):
        if key in options:
            raise UsageError(f"codec: {key} stands twice.")
        options[key] = value
    spec = CodecSpec(**with_profile(profile, options))
    spec.resolved()  # refuses what this machine cannot code
    return spec


def _key_and_value(word: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in word.partition("="))
    if not equals:
        raise UsageError(f"codec: {word!r} is not key=value.")
    known = [*PARTS, *option_names()]
    if key not in known:
        raise UsageError(f"codec: unknown key {key!r}.{nearest(key, known)}")
    return key, value
