"""What a codec is before it is fitted, and each tensor's part of it after."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.entropy.base import EntropyCoder
from splitc.codec.quantizers import QUANTIZERS, Quantizer, QuantParams
from splitc.codec.temporal import TEMPORALS, Temporal
from splitc.errors import BundleError, UsageError
from splitc.registry import Component, Registry
from splitc.types import F32, Array, Frozen, Symbols, TensorSpec

JsonObject = dict[str, Any]
C = TypeVar("C", bound=Component)
HASH_BYTES = 8
PARAMETERS = ("lo", "scale", "thresholds", "levels")
MAX_ROWS = 1 << 20
"""Most channels a fitted tensor may claim."""


class CodecSpec(Frozen):
    """The names and numbers a recipe gives. A component's option has the name of a key here, and takes its value."""

    quantizer: str = "uniform"
    bits: int = 4
    scope: str = "channel"
    reconstruction: str = "centroid"
    entropy: str = "rans"
    huffman_table: str = "packet"
    tiling: str = "mosaic"
    hevc_qp: int = 22
    levels: int | None = None
    percentile: float = 99.9
    temporal: str = "none"
    gop: int = 15
    temporal_rounding: float = 0.4
    ifmdc_mode: str = "corrected"

    def make_quantizer(self) -> Quantizer:
        """Raises: UsageError: unknown name or a value out of range."""
        return self._make(QUANTIZERS, self.quantizer)

    def make_entropy(self) -> EntropyCoder:
        """Raises: UsageError: unknown name, or more bits than the coder takes."""
        coder = self._make(ENTROPY_CODERS, self.entropy)
        if self.bits > coder.max_bits:
            raise UsageError(f"entropy coder {self.entropy!r} takes at most {coder.max_bits} bits, got {self.bits}.")
        if not coder.is_lossless:
            self._check_lossy()
        return coder

    def _check_lossy(self) -> None:
        """A coder that changes symbols must not be predicted from, and may give any symbol there is."""
        if self.temporal != "none":
            raise UsageError(
                f'entropy coder {self.entropy!r} predicts between pictures itself; use temporal = "none" and gop.'
            )
        if self.make_quantizer().count != 1 << self.bits:
            raise UsageError(f"entropy coder {self.entropy!r} needs a quantizer that uses all 2**bits symbols.")

    def make_temporal(self) -> Temporal:
        """Raises: UsageError: unknown name, a value out of range, or a quantizer that cannot be predicted so."""
        temporal = self._make(TEMPORALS, self.temporal)
        temporal.check(self.make_quantizer())
        return temporal

    def _make(self, registry: Registry[C], name: str) -> C:
        """The component ``name`` with those of its options that are keys here too."""
        mine = type(self).model_fields
        options = {key: getattr(self, key) for key in registry.load(name).model_fields if key in mine}
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
        return self.quantizer.count

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
        arrays = {name: _pack(getattr(self.params, name)) for name in PARAMETERS}
        return {
            "tensor": self.spec.model_dump(mode="json"),
            "quant_params": arrays,
            "entropy_tables": base64.b64encode(self.tables).decode(),
            "predicted_tables": base64.b64encode(self.predicted_tables).decode(),
        }

    @classmethod
    def from_json(cls, data: JsonObject, quantizer: Quantizer) -> FittedTensor:
        """Raises: BundleError: the data are not what :meth:`to_json` writes."""
        try:
            spec = TensorSpec(**data["tensor"])
            params = QuantParams(**{name: _unpack(data["quant_params"][name]) for name in PARAMETERS})
            tables = [base64.b64decode(data[name], validate=True) for name in ("entropy_tables", "predicted_tables")]
            fitted = cls(spec, quantizer, params, *tables)
            fitted._check()
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise BundleError(f"contract: a tensor of the codec is not well-formed ({error}).") from error
        return fitted

    def _check(self) -> None:
        rows = len(self.params.lo)
        count = self.quantizer.count if self.quantizer.bits <= 8 else 0
        shapes = {"lo": (rows,), "scale": (rows,), "levels": (rows, count)}
        for name, shape in shapes.items():
            array: F32 = getattr(self.params, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name}: shape {array.shape} and finite values are expected to be {shape}")
        if self.params.thresholds.shape not in {(rows, 0), (rows, count - 1)}:
            raise ValueError(f"thresholds: shape {self.params.thresholds.shape}")
        if self.rank > 1 and not isinstance(self.spec.shape[1], int):
            raise ValueError(f"axis 1 of {list(self.spec.shape)} has no fixed size")
        if rows not in {1, self.channels}:
            raise ValueError(f"{rows} rows of parameters for {self.channels} channels")


def _pack(array: Array) -> JsonObject:
    little = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(array.shape), "float32": base64.b64encode(little.tobytes()).decode()}


def _unpack(data: JsonObject) -> F32:
    shape: list[int] = data["shape"]
    if len(shape) > 2 or any(type(size) is not int or not 0 <= size <= MAX_ROWS for size in shape):
        raise ValueError(f"array shape {shape}")
    raw = base64.b64decode(data["float32"], validate=True)
    return np.frombuffer(raw, dtype="<f4").reshape(shape).astype(np.float32)
