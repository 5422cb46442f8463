"""What a codec is before it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.entropy.base import EntropyCoder
from splitc.codec.quantizers import MAX_GRAPH_BITS, QUANTIZERS, Quantizer
from splitc.codec.temporal import TEMPORALS, Temporal
from splitc.errors import UsageError
from splitc.registry import Component, Registry
from splitc.types import Frozen

C = TypeVar("C", bound=Component)
PARTS: Mapping[str, Registry[Any]] = MappingProxyType(
    {"quantizer": QUANTIZERS, "temporal": TEMPORALS, "entropy": ENTROPY_CODERS}
)
"""Keys of :class:`CodecSpec` that name a component; the others are options of one."""


class CodecSpec(Frozen):
    """The names and numbers a recipe gives. A component's option has the name of a key here, and takes its value.

    None stands for the component's own default. ``CodecSpec()`` is the profile "fast".
    """

    quantizer: str = "step"
    bits: int | None = None
    scope: str | None = None
    reconstruction: str | None = None
    clip: str | None = None
    percentile: float | None = None
    step: float | None = None
    maximum: float | None = None
    levels: int | None = None
    entropy: str = "rans"
    contexts: str | None = None
    huffman_table: str | None = None
    tiling: str | None = None
    hevc_qp: int | None = None
    temporal: str = "none"
    gop: int | None = None
    temporal_rounding: float | None = None
    ifmdc_mode: str | None = None

    def resolved(self) -> CodecSpec:
        """The same with its components' defaults filled in; keys that no component has stay None.

        Raises:
            UsageError: A name, value or combination that the components refuse, or a key that none of them has.
        """
        components = (self.make_quantizer(), self.make_temporal(), self.make_entropy())
        options = {key: value for component in components for key, value in component.model_dump().items()}
        given = {key for key, value in self if value is not None} - PARTS.keys()
        for key in sorted(given - options.keys()):
            names = f"quantizer {self.quantizer!r}, temporal {self.temporal!r} nor entropy coder {self.entropy!r}"
            raise UsageError(f"codec.{key}: neither {names} has such an option; leave it out.")
        return self.model_copy(update={key: value for key, value in options.items() if key in type(self).model_fields})

    def with_part(self, part: str, name: str) -> CodecSpec:
        """The same with another component, and without the options of the one it replaces.

        Args:
            part: A key of :data:`PARTS`.
            name: The component's.

        Raises:
            UsageError: Unknown name.
        """
        its_own = PARTS[part].load(getattr(self, part)).model_fields.keys() - PARTS[part].load(name).model_fields.keys()
        kept = {key: None for key in its_own if key in type(self).model_fields}
        others = (registry.load(getattr(self, other)) for other, registry in PARTS.items() if other != part)
        for component in others:
            kept = {key: None for key in kept if key not in component.model_fields}
        return self.model_copy(update={**kept, part: name})

    def make_quantizer(self) -> Quantizer:
        """Raises: UsageError: unknown name or a value out of range."""
        return self._make(QUANTIZERS, self.quantizer)

    def make_entropy(self) -> EntropyCoder:
        """Raises: UsageError: unknown name, or more bits than the coder takes."""
        coder, quantizer = self._make(ENTROPY_CODERS, self.entropy), self.make_quantizer()
        if quantizer.bits > coder.max_bits:
            raise UsageError(
                f"entropy coder {self.entropy!r} takes at most {coder.max_bits} bits, got {quantizer.bits}."
            )
        if not coder.is_lossless:
            self._check_lossy(quantizer)
        return coder

    def _check_lossy(self, quantizer: Quantizer) -> None:
        """A coder that changes symbols must not be predicted from, and may give any symbol there is."""
        if self.temporal != "none":
            raise UsageError(
                f'entropy coder {self.entropy!r} predicts between pictures itself; use temporal = "none" and gop.'
            )
        if quantizer.count != 1 << quantizer.bits:
            raise UsageError(f"entropy coder {self.entropy!r} needs a quantizer that uses all 2**bits symbols.")

    def make_temporal(self) -> Temporal:
        """Raises: UsageError: unknown name, a value out of range, or a quantizer that cannot be predicted so."""
        temporal = self._make(TEMPORALS, self.temporal)
        temporal.check(self.make_quantizer())
        return temporal

    @property
    def fits_graph(self) -> bool:
        """Whether quantizers can stand in graphs: symbols fit a UINT8 wire and depend on no other frame."""
        return self.make_quantizer().bits <= MAX_GRAPH_BITS and self.make_temporal().is_open_loop

    def _make(self, registry: Registry[C], name: str) -> C:
        """The component ``name`` with those of its options that are given here."""
        given = {key: value for key, value in self if value is not None}
        options = {key: given[key] for key in registry.load(name).model_fields if key in given}
        return registry.make(name, options)
