"""One cut tensor after fitting: what it is, and the quantizer and tables that calibration gave it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitc.codec.quantizers import Quantizer, QuantParams
from splitc.errors import BundleError
from splitc.types import F32, Array, Symbols, TensorSpec

JsonObject = dict[str, Any]
HASH_BYTES = 8
PARAMETERS = ("lo", "scale", "thresholds", "levels")
MAX_ROWS = 1 << 20
"""Most channels a fitted tensor may claim."""


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
