"""What a codec is before it is fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ConfigDict, model_validator

from splitc.codec.entropy import ENTROPY_CODERS, EntropyCoder
from splitc.codec.parts import PARTS, nobody_has, option_names, options_of
from splitc.codec.quantizers import MAX_GRAPH_BITS, QUANTIZERS, Quantizer
from splitc.codec.temporal import TEMPORALS, Temporal
from splitc.codec.transforms import TRANSFORMS, Transform
from splitc.errors import UsageError
from splitc.registry import Component, Registry, nearest
from splitc.types import Frozen

C = TypeVar("C", bound=Component)


class CodecSpec(Frozen):
    """The names of a codec's parts, and those of their options that are given: ``CodecSpec(quantizer="log", bits=3)``.

    Options stand beside the names as keywords, attributes and JSON keys. Which there are, what values they take and
    what an absent one means is declared by the parts alone (docs/codec.md lists them); a value is checked, together
    with the parts, when the spec is made. None says the same as leaving an option out, and is what the attribute of an
    absent one gives. ``CodecSpec()`` rounds to even steps and decodes to their middles; what is measured on the tail
    of a network, and profiles are, is asked for (:data:`splitc.codec.PROFILES`).

    Attributes:
        transform: Features to planes; a name in :data:`splitc.codec.TRANSFORMS`.
        quantizer: Planes to symbols; a name in :data:`splitc.codec.QUANTIZERS`.
        temporal: What frames are predicted by; a name in :data:`splitc.codec.TEMPORALS`.
        entropy: Symbols to bytes; a name in :data:`splitc.codec.ENTROPY_CODERS`.

    Raises:
        UsageError: A name, value or combination that the parts refuse, or an option that none of them has.
    """

    model_config = ConfigDict(extra="allow")

    transform: str = "none"
    quantizer: str = "step"
    temporal: str = "none"
    entropy: str = "rans"

    def __getattr__(self, key: str) -> Any:
        """The option ``key``; None where it is not given."""
        if key.startswith("_"):
            return super().__getattr__(key)  # type: ignore[misc]  # pydantic hides its own from type checkers
        if key in self.options or key in option_names():
            return self.options.get(key)
        raise AttributeError(f"a codec has no option {key!r}.{nearest(key, option_names())}")

    def __hash__(self) -> int:
        return hash((self.transform, self.quantizer, self.temporal, self.entropy, frozenset(self.options.items())))

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """A transform is named where there is one."""
        return [pair for pair in super().__repr_args__() if pair != ("transform", "none")]

    @model_validator(mode="before")
    @classmethod
    def _read_by_the_parts(cls, data: Any) -> Any:
        """``data`` with every option as its part reads it."""
        if not isinstance(data, dict):
            return data
        names = {part: data.get(part, cls.model_fields[part].default) for part in PARTS}
        if not all(isinstance(name, str) for name in names.values()):
            return data  # refused as what it is
        given = {key: value for key, value in data.items() if key not in PARTS and value is not None}
        given = _implied(names) | given
        components = {part: PARTS[part].read(name, options_of(part, name, given)) for part, name in names.items()}
        _check_together(**components)
        values = {key: value for one in components.values() for key, value in one if key in given}
        for key in sorted(given.keys() - values.keys()):
            raise UsageError(_refusal(key, names))
        return names | values

    @property
    def options(self) -> Mapping[str, Any]:
        """What is given beside the names of the parts."""
        return MappingProxyType(self.__pydantic_extra__ or {})

    def replace(self, **changes: object) -> CodecSpec:
        """The same with other names or options; None takes an option away.

        Raises:
            UsageError: As when a spec is made.
        """
        return type(self)(**self.model_dump() | changes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> CodecSpec:
        """:meth:`replace`, so that no copy goes unchecked; a spec holds nothing that ``deep`` could copy."""
        return self.replace(**(update or {}))

    def resolved(self) -> CodecSpec:
        """The same with its components' defaults spelled, for a machine that can code so.

        Raises:
            CapabilityError: A component needs an extra that is not installed.
        """
        components = (self.make_transform(), self.make_quantizer(), self.make_temporal(), self.make_entropy())
        return self.replace(**{key: value for component in components for key, value in component})

    def with_part(self, part: str, name: str) -> CodecSpec:
        """The same with another component, and without the options of the one it replaces.

        Args:
            part: A key of :data:`splitc.codec.parts.PARTS`.
            name: The component's.

        Raises:
            UsageError: Unknown name, or an option that stays and does not suit it.
        """
        names = {each: getattr(self, each) for each in PARTS} | {part: name}
        known = {key for each, chosen in names.items() for key in PARTS[each].load(chosen).model_fields}
        return type(self)(**names, **{key: value for key, value in self.options.items() if key in known})

    def make_transform(self) -> Transform:
        """The transform with the options given here."""
        return self._make(TRANSFORMS, "transform")

    def make_quantizer(self) -> Quantizer:
        """The quantizer with the options given here."""
        return self._make(QUANTIZERS, "quantizer")

    def make_entropy(self) -> EntropyCoder:
        """The entropy coder with the options given here.

        Raises:
            CapabilityError: It needs an extra that is not installed.
        """
        return self._make(ENTROPY_CODERS, "entropy")

    def make_temporal(self) -> Temporal:
        """The temporal predictor with the options given here."""
        return self._make(TEMPORALS, "temporal")

    @property
    def needs_judge(self) -> bool:
        """Whether fitting asks how far answers move."""
        return self.make_transform().is_choice or getattr(self.make_quantizer(), "steps", None) == "sensitivity"

    def without_tail(self) -> CodecSpec:
        """The same where nobody can be asked: even steps, and no transform in the place of a choice."""
        if not self.needs_judge:
            return self
        transform = "none" if self.make_transform().is_choice else self.transform
        return self.replace(transform=transform, steps=None)

    @property
    def fits_graph(self) -> bool:
        """Whether quantizers can stand in graphs: symbols fit a UINT8 wire and depend on no other frame."""
        return self.make_quantizer().bits <= MAX_GRAPH_BITS and self.make_temporal().is_open_loop

    def _make(self, registry: Registry[C], part: str) -> C:
        name = getattr(self, part)
        return registry.make(name, options_of(part, name, self.options))


def _implied(names: Mapping[str, str]) -> dict[str, object]:
    """Options that the parts ask of each other where nothing else is said.

    Planes have steps and means of their own, and errors of motion that nobody corrects add up in one direction.
    """
    is_unbiased = names["transform"] != "none" or names["temporal"] == "motion"
    return {"reconstruction": "unbiased"} if is_unbiased and names["quantizer"] == "step" else {}


def _check_together(transform: Transform, quantizer: Quantizer, temporal: Temporal, entropy: EntropyCoder) -> None:
    """Refuse parts that do not go together.

    Raises:
        UsageError: Symbols that cannot be predicted so, or that the coder cannot take.
    """
    temporal.check(quantizer)
    if transform.name != "none" and not quantizer.takes_steps:
        raise UsageError(
            f'transform {transform.name!r} needs a step for each of its planes; use quantizer = "step" with '
            'reconstruction = "unbiased".'
        )
    if transform.is_choice and getattr(quantizer, "steps", None) == "even":
        raise UsageError(f'transform {transform.name!r} compares steps by sensitivity; leave steps = "even" out.')
    if quantizer.bits > entropy.max_bits:
        raise UsageError(f"entropy coder {entropy.name!r} takes at most {entropy.max_bits} bits, got {quantizer.bits}.")
    if entropy.is_lossless:
        return
    if temporal.name != "none":  # a coder that changes symbols must not be predicted from
        raise UsageError(
            f'entropy coder {entropy.name!r} predicts between pictures itself; use temporal = "none" and gop.'
        )
    if quantizer.count != 1 << quantizer.bits:  # it may give any symbol there is
        raise UsageError(f"entropy coder {entropy.name!r} needs a quantizer that uses all 2**bits symbols.")


def _refusal(key: str, names: Mapping[str, str]) -> str:
    """Of an option that none of the parts has."""
    known = option_names()
    if key in known:
        return f"codec.{key}: {nobody_has(names)}."
    return f"codec: unknown key {key!r}.{nearest(key, [*PARTS, *known])}"
