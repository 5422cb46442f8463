"""Named choices of the parts; a recipe's ``codec.profile``. A spelled part replaces the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from splitc.codec.parts import PARTS, option_names
from splitc.codec.spec import CodecSpec
from splitc.codec.temporal import TEMPORALS
from splitc.errors import UsageError
from splitc.registry import nearest


def fast() -> CodecSpec:
    """Steps by how much the answers feel each channel, levels without mean errors, static tables: no computation more.

    What a recipe gets that says nothing.
    """
    return CodecSpec(reconstruction="unbiased", offset=0.5, steps="sensitivity")


def balanced() -> CodecSpec:
    """The same, or a transform where that costs fewer bytes at equal answers; more tables. Slower to fit and to run."""
    return CodecSpec(reconstruction="unbiased", transform="auto", contexts="wide")


def smallest() -> CodecSpec:
    """The design of ``balanced`` with the mixing coder: the fewest bytes, and a tenth of its coding speed."""
    return CodecSpec(reconstruction="unbiased", transform="auto", entropy="mix")


PROFILES: Mapping[str, CodecSpec] = MappingProxyType({"fast": fast(), "balanced": balanced(), "max": smallest()})


def with_profile(profile: str, spelled: Mapping[str, Any], *, has_tail: bool = True) -> dict[str, Any]:
    """The keys that ``profile`` and ``spelled`` ask for together: what is spelled, and what of the profile it leaves.

    An option goes with its part: where another quantizer, temporal or entropy coder is spelled, the options that the
    profile gives to its own do not apply. Nor do those that go with levels that are not spelled.

    Args:
        profile: One of :data:`PROFILES`.
        spelled: Names of parts, and options; values are not looked at but for the names of parts and levels.
        has_tail: The codec is fitted where the tail can be run; else the profile is :meth:`CodecSpec.without_tail`.

    Raises:
        UsageError: Unknown profile.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown codec profile {profile!r}.{nearest(profile, dict(PROFILES))}")
    spec = PROFILES[profile] if has_tail else PROFILES[profile].without_tail()
    given = spec.model_dump(exclude_defaults=True)
    for part, registry in PARTS.items():
        its_own = getattr(spec, part)
        if spelled.get(part, its_own) != its_own:
            given = {key: value for key, value in given.items() if key not in registry.load(its_own).model_fields}
            given.pop(part, None)
    for key in _left_out(spec, spelled):
        given.pop(key, None)
    return {**given, **spelled}


def _left_out(spec: CodecSpec, spelled: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the profile, what a transform, other levels or even steps that are spelled do not have."""
    has_its_levels = spelled.get("quantizer", spec.quantizer) == spec.quantizer
    if not has_its_levels or spelled.get("reconstruction", spec.reconstruction) != spec.reconstruction:
        return ("transform", "offset", "steps")
    if _needs_even_levels(spelled.get("temporal", spec.temporal)):
        return ("transform", "offset", "steps", "reconstruction")
    if spelled.get("steps") == "even":
        return ("transform",)
    return ("offset",) if spelled.get("transform", "none") != "none" else ()


def _needs_even_levels(temporal: object) -> bool:
    return isinstance(temporal, str) and temporal in TEMPORALS and TEMPORALS.load(temporal).needs_even_levels


def spec_from_text(text: str, *, has_tail: bool = True) -> CodecSpec:
    """A spec from ``PROFILE,key=value,...``; both parts may be left out, and no text is "fast".

    Args:
        text: As people write it.
        has_tail: As for :func:`with_profile`.

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
    spec = CodecSpec(**with_profile(profile, options, has_tail=has_tail))
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
