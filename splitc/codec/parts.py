"""The parts of a codec, and whose option a key is: the model of each part declares its options, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.quantizers import QUANTIZERS
from splitc.codec.temporal import TEMPORALS
from splitc.codec.transforms import TRANSFORMS
from splitc.registry import Registry

PARTS: Mapping[str, Registry[Any]] = MappingProxyType(
    {"transform": TRANSFORMS, "quantizer": QUANTIZERS, "temporal": TEMPORALS, "entropy": ENTROPY_CODERS}
)
"""By the key that names the part, in the order in which features pass through."""


def option_names() -> list[str]:
    """Every option that any component of any part has, sorted."""
    classes = (registry.load(name) for registry in PARTS.values() for name in registry)
    return sorted({key for cls in classes for key in cls.model_fields})


def options_of(part: str, name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Those of ``given`` that the component ``name`` has.

    Args:
        part: A key of :data:`PARTS`.
        name: The component's.
        given: Values by option, of any part; None stands for the default and is left out.

    Raises:
        UsageError: Unknown name.
    """
    fields = PARTS[part].load(name).model_fields
    return {key: value for key, value in given.items() if key in fields and value is not None}


def nobody_has(names: Mapping[str, str]) -> str:
    """Why an option is refused that none of the chosen parts has, as a sentence without its dot.

    Args:
        names: Component by part.
    """
    transform = "" if names["transform"] == "none" else f"transform {names['transform']!r}, "
    chosen = f"quantizer {names['quantizer']!r}, temporal {names['temporal']!r} nor entropy coder {names['entropy']!r}"
    return f"neither {transform}{chosen} has such an option; leave it out"
