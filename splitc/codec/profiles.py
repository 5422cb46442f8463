"""Named choices of the parts; a recipe's ``codec.profile``. A spelled part replaces the profile's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from splitc.codec.spec import CodecSpec


def fast() -> CodecSpec:
    """Static tables: 0.1 to 1 G elements a second. What a recipe gets that says nothing."""
    return CodecSpec()


PROFILES: Mapping[str, CodecSpec] = MappingProxyType({"fast": fast()})
