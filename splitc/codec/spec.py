"""What a codec is before it is fitted, and each tensor's part of it after."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitc.codec.entropy import ENTROPY_CODERS
from splitc.codec.entropy.base import EntropyCoder
from splitc.codec.quantizers import QUANTIZERS, Quantizer, QuantParams
from splitc.errors import BundleError, UsageError
from splitc.types import F32, Array, Frozen, TensorSpec

JsonObject = dict[str, Any]
HASH_BYTES = 8
PARAMETERS = ("lo", "scale", "thresholds", "levels")
MAX_ROWS = 1 << 20
"""Most channels a fitted tensor may claim."""


class CodecSpec(Frozen):
    """The names and numbers a recipe gives: ``quantizer -> entropy``."""

    quantizer: str = "uniform"
    bits: int = 4
    scope: str = "channel"
    reconstruction: str = "centroid"
    entropy: str = "rans"

    def make_quantizer(self) -> Quantizer:
        """Raises: UsageError: unknown name or a value out of range."""
        options = {"bits": self.bits, "scope": self.scope, "reconstruction": self.reconstruction}
        return QUANTIZERS.make(self.quantizer, options)

    def make_entropy(self) -> EntropyCoder:
        """Raises: UsageError: unknown name, or more bits than the coder takes."""
        coder = ENTROPY_CODERS.make(self.entropy, {})
        if self.bits > coder.max_bits:
            raise UsageError(f"entropy coder {self.entropy!r} takes at most {coder.max_bits} bits, got {self.bits}.")
        return coder


@dataclass(frozen=True)
class FittedTensor:
    """One cut tensor: what it is, and the quantizer and tables fitted on it."""

    spec: TensorSpec
    quantizer: Quantizer
    params: QuantParams
    tables: bytes

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
        tables = base64.b64encode(self.tables).decode()
        return {"tensor": self.spec.model_dump(mode="json"), "quant_params": arrays, "entropy_tables": tables}

    @classmethod
    def from_json(cls, data: JsonObject, quantizer: Quantizer) -> FittedTensor:
        """Raises: BundleError: the data are not what :meth:`to_json` writes."""
        try:
            spec = TensorSpec(**data["tensor"])
            params = QuantParams(**{name: _unpack(data["quant_params"][name]) for name in PARAMETERS})
            fitted = cls(spec, quantizer, params, base64.b64decode(data["entropy_tables"], validate=True))
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
                raise ValueError(
                    f"quant_params.{name} has shape {list(array.shape)}; it must have {list(shape)} and finite numbers"
                )
        if not (self.params.scale > 0).all():
            raise ValueError("quant_params.scale must be above 0")
        self._check_thresholds(rows, count)
        if self.rank > 1 and not isinstance(self.spec.shape[1], int):
            raise ValueError(f"axis 1 of {list(self.spec.shape)} has no fixed size")
        if rows not in {1, self.channels}:
            raise ValueError(f"{rows} rows of parameters for {self.channels} channels")

    def _check_thresholds(self, rows: int, count: int) -> None:
        thresholds = self.params.thresholds
        expected = (rows, count - 1) if self.quantizer.curve == "log" and count else (rows, 0)
        if thresholds.shape != expected:
            raise ValueError(
                f"quant_params.thresholds has shape {list(thresholds.shape)}; it must have {list(expected)}"
            )
        if np.isnan(thresholds).any() or not (thresholds[:, 1:] >= thresholds[:, :-1]).all():
            raise ValueError("quant_params.thresholds must ascend")


def _pack(array: Array) -> JsonObject:
    little = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(array.shape), "float32": base64.b64encode(little.tobytes()).decode()}


def _unpack(data: JsonObject) -> F32:
    shape: list[int] = data["shape"]
    if len(shape) > 2 or any(type(size) is not int or not 0 <= size <= MAX_ROWS for size in shape):
        raise ValueError(f"array shape {shape}")
    raw = base64.b64decode(data["float32"], validate=True)
    return np.frombuffer(raw, dtype="<f4").reshape(shape).astype(np.float32)
