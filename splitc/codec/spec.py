"""What a codec is before it is fitted, and each tensor's part of it after."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.entropy.base import EntropyCoder
from splitc.codec.quantizers import MAX_GRAPH_BITS, QUANTIZERS, Quantizer, QuantParams
from splitc.codec.temporal import TEMPORALS, Temporal
from splitc.errors import BundleError, UsageError
from splitc.registry import Component, Registry
from splitc.types import F32, Array, Frozen, Symbols, TensorSpec

JsonObject = dict[str, Any]
C = TypeVar("C", bound=Component)
HASH_BYTES = 8
PARTS: Mapping[str, Registry[Any]] = MappingProxyType(
    {"quantizer": QUANTIZERS, "temporal": TEMPORALS, "entropy": ENTROPY_CODERS}
)
"""Keys of :class:`CodecSpec` that name a component; the others are options of one."""
PARAMETERS = ("lo", "scale", "thresholds", "levels")
MAX_ROWS = 1 << 20
"""Most channels a fitted tensor may claim."""


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


@dataclass(frozen=True)
class FittedTensor:
    """One cut tensor: what it is, and the quantizer and tables fitted on it.

    ``tables`` are of keyframes; ``predicted_tables`` of residual symbols, empty where there is no prediction.
    """

    spec: TensorSpec
    quantizer: Quantizer
    params: QuantParams
    tables: bytes
    predicted_tables: bytes = b""

    @property
    def count(self) -> int:
        """Number of symbols: 0 .. count - 1."""
        return self.params.count

    def quantize(self, x: F32) -> Symbols:
        """Symbols of features ``[n, C, ...]`` by themselves.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit.
        """
        return self.quantizer.quantize(x, self.params, self.quantizer.side(x))

    @property
    def rank(self) -> int:
        """Number of dimensions, batch included."""
        return len(self.spec.shape)

    @property
    def quantizer_field(self) -> bytes:
        """Quantizer in the packet's tensor table (FORMAT.md section 9): its id and the hash of its parameters."""
        digest = hashlib.sha256()
        for name in PARAMETERS:
            array: F32 = getattr(self.params, name)
            digest.update(np.array(array.shape, "<u4").tobytes() + array.astype("<f4").tobytes())
        return bytes([self.quantizer.wire_id]) + digest.digest()[:HASH_BYTES]

    @property
    def channels(self) -> int:
        """Size of axis 1, or 1 where there is none."""
        size = self.spec.shape[1] if self.rank > 1 else 1
        assert isinstance(size, int), "a fitted tensor has a fixed number of channels"
        return size

    def to_json(self) -> JsonObject:
        """Everything but the quantizer's options, which the codec holds once."""
        arrays: JsonObject = {name: _pack(getattr(self.params, name)) for name in PARAMETERS}
        return {
            "tensor": self.spec.model_dump(mode="json"),
            "quant_params": {"count": self.params.count} | arrays,
            "entropy_tables": base64.b64encode(self.tables).decode(),
            "predicted_tables": base64.b64encode(self.predicted_tables).decode(),
        }

    @classmethod
    def from_json(cls, data: JsonObject, quantizer: Quantizer) -> FittedTensor:
        """Raises: BundleError: the data are not what :meth:`to_json` writes."""
        try:
            spec = TensorSpec(**data["tensor"])
            stored = data["quant_params"]
            params = QuantParams(_whole(stored["count"]), **{name: _unpack(stored[name]) for name in PARAMETERS})
            tables = [base64.b64decode(data[name], validate=True) for name in ("entropy_tables", "predicted_tables")]
            fitted = cls(spec, quantizer, params, *tables)
            fitted._check()
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise BundleError(f"contract: a tensor of the codec is not well-formed ({error}).") from error
        return fitted

    def _check(self) -> None:
        rows = len(self.params.lo)
        if self.rank > 1 and not isinstance(self.spec.shape[1], int):
            raise ValueError(f"axis 1 of {list(self.spec.shape)} has no fixed size")
        if rows not in {1, self.channels}:
            raise ValueError(f"{rows} rows of parameters for {self.channels} channels")
        self.quantizer.check(self.params)


def _whole(number: object) -> int:
    if type(number) is not int:
        raise ValueError(f"count: {number!r} is no whole number")
    return number


def _pack(array: Array) -> JsonObject:
    little = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(array.shape), "float32": base64.b64encode(little.tobytes()).decode()}


def _unpack(data: JsonObject) -> F32:
    shape: list[int] = data["shape"]
    if len(shape) > 2 or any(type(size) is not int or not 0 <= size <= MAX_ROWS for size in shape):
        raise ValueError(f"array shape {shape}")
    raw = base64.b64decode(data["float32"], validate=True)
    return np.frombuffer(raw, dtype="<f4").reshape(shape).astype(np.float32)
