"""One cut tensor after fitting: what it is, and the quantizer and tables that calibration gave it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitc.codec.quantizers import Quantizer, QuantParams
from splitc.codec.transforms import Basis, Transform
from splitc.codec.transforms.base import NO_BASIS
from splitc.codec.transforms.none import NoTransform
from splitc.errors import BundleError
from splitc.types import F32, USUAL_LAYOUT, Array, Layout, Shape, Symbols, TensorSpec

JsonObject = dict[str, Any]
HASH_BYTES = 8
PARAMETERS = ("lo", "scale", "thresholds", "levels")
GAINS = ("gain", "bias")
"""Parameters of one rule; they are left out where they are empty."""
MATRICES = ("analysis", "synthesis")
NO_TRANSFORM = NoTransform()
MAX_ROWS = 1 << 20
"""Most channels a fitted tensor may claim."""


@dataclass(frozen=True)
class FittedTensor:
    """One cut tensor: what it is, how its axes lie, and the quantizer and tables fitted on it.

    A *feature* has the axes of the cut, ``spec.shape``; its *wire*, which quantizer, predictor and entropy coder see,
    those of ``wire_shape``: samples, channels, then the rest, and behind a transform its planes in the place of
    channels. :meth:`to_wire` leads from one to the other.

    Attributes:
        spec: Name, element type and shape at the cut.
        quantizer: Its options.
        params: What it learned.
        tables: Of the entropy coder, for keyframes.
        predicted_tables: For residual symbols; empty where there is no prediction.
        layout: Which axes of the cut are samples and channels; by default the first and the second.
        predicted_params: What the symbols of predicted frames stand for: ``params`` with another ``bias``; None: the
            same.
        transform: Its options.
        basis: What it learned.
        field_tables: Of the entropy coder, for motion fields; empty where there are none.
    """

    spec: TensorSpec
    quantizer: Quantizer
    params: QuantParams
    tables: bytes
    predicted_tables: bytes = b""
    layout: Layout = USUAL_LAYOUT
    predicted_params: QuantParams | None = None
    transform: Transform = NO_TRANSFORM
    basis: Basis = NO_BASIS
    field_tables: bytes = b""

    @property
    def count(self) -> int:
        """Number of symbols: 0 .. count - 1."""
        return self.params.count

    def quantize(self, x: F32) -> Symbols:
        """Symbols of a wire ``[n, C, ...]`` by itself.

        Raises:
            CodecError: NaN in ``x``, or channels that do not fit.
        """
        return self.quantizer.quantize(x, self.params, self.quantizer.side(x))

    def dequantize(self, symbols: Symbols, side: F32, *, is_predicted: bool = False) -> F32:
        """Wire ``[n, C, ...]`` that the symbols of a keyframe, or of a predicted frame, stand for.

        Raises:
            CodecError: Channels that do not fit.
        """
        params = self.predicted_params if is_predicted and self.predicted_params else self.params
        return self.quantizer.dequantize(symbols, params, side)

    def to_wire(self, x: F32) -> F32:
        """A feature, of the cut's axes, as quantizers see it: contiguous ``[n, C, ...]``."""
        return self.transform.forward(self.layout.to_wire(x), self.basis)

    def from_wire(self, wire: F32) -> F32:
        """Invert :meth:`to_wire`."""
        untransformed = self.transform.inverse(wire, self.basis, self._untransformed(wire.shape))
        return self.layout.from_wire(untransformed, len(self.spec.shape))

    @property
    def wire_shape(self) -> Shape:
        """What is quantized and coded: samples, channels, then the rest; names stand for dynamic sizes."""
        return self.wire_shape_of(self.spec.shape)

    def wire_shape_of(self, shape: Shape) -> Shape:
        """The wire's shape of a feature of ``shape``."""
        return self.transform.wire_shape(self.layout.wire_shape(shape))

    def _untransformed(self, wire: tuple[int, ...]) -> tuple[int, ...]:
        """Shape before the transform of a wire of that shape: where sizes change they are the cut's own."""
        known = self.layout.wire_shape(self.spec.shape)
        return tuple(
            size if self.transform.block == 1 or not isinstance(own, int) else own
            for own, size in zip(known, wire, strict=True)
        )

    @property
    def dynamic_axes(self) -> tuple[int, ...]:
        """Axes of the cut whose size the packet says."""
        return tuple(axis for axis, size in enumerate(self.spec.shape) if not isinstance(size, int))

    @property
    def quantizer_field(self) -> bytes:
        """Quantizer in the packet's tensor table (FORMAT.md section 9): its id and the hash of its parameters.

        Behind them the same of the transform, where there is one (section 9a).
        """
        field = bytes([self.quantizer.wire_id]) + _hash(self._arrays().values())
        if self.transform.is_identity:
            return field
        return field + bytes([self.transform.wire_id]) + _hash(self._matrices().values())

    def _arrays(self) -> dict[str, F32]:
        """Parameters by name, in the order of FORMAT.md section 9."""
        predicted = {"predicted_bias": self.predicted_params.bias} if self.predicted_params else {}
        gains = GAINS if self.params.gain.size else ()
        return {name: getattr(self.params, name) for name in (*PARAMETERS, *gains)} | predicted

    def _matrices(self) -> dict[str, F32]:
        """Of the transform by name; none where it does not mix channels."""
        return {} if self.basis.is_empty else {name: getattr(self.basis, name) for name in MATRICES}

    @property
    def channels(self) -> int:
        """Size of the wire's axis 1, or 1 where there is none."""
        shape = self.wire_shape
        size = shape[1] if len(shape) > 1 else 1
        assert isinstance(size, int), "a fitted tensor has a fixed number of channels"
        return size

    def to_json(self) -> JsonObject:
        """Everything but the quantizer's options, which the codec holds once; the usual layout is left out."""
        arrays: JsonObject = {name: _pack(array) for name, array in self._arrays().items()}
        matrices = {name: _pack(array) for name, array in self._matrices().items()}
        field_tables = {"field_tables": base64.b64encode(self.field_tables).decode()} if self.field_tables else {}
        return (
            self._layout_json()
            | ({"basis": matrices} if matrices else {})
            | field_tables
            | {
                "tensor": self.spec.model_dump(mode="json"),
                "quant_params": {"count": self.params.count} | arrays,
                "entropy_tables": base64.b64encode(self.tables).decode(),
                "predicted_tables": base64.b64encode(self.predicted_tables).decode(),
            }
        )

    @classmethod
    def from_json(cls, data: JsonObject, quantizer: Quantizer, transform: Transform = NO_TRANSFORM) -> FittedTensor:
        """Raises: BundleError: the data are not what :meth:`to_json` writes."""
        try:
            spec = TensorSpec(**data["tensor"])
            stored = data["quant_params"]
            needed = (*PARAMETERS, *(GAINS if quantizer.rule.has_gain else ()))
            params = QuantParams(_whole(stored["count"]), **{name: _unpack(stored[name]) for name in needed})
            other = _unpack(stored["predicted_bias"]) if "predicted_bias" in stored else None
            stored_tables = data["entropy_tables"], data["predicted_tables"], data.get("field_tables", "")
            tables, predicted, of_fields = (base64.b64decode(each, validate=True) for each in stored_tables)
            layout = Layout(**data.get("layout", {}))
            after = None if other is None else replace(params, bias=other)
            basis = Basis(**{name: _unpack(data["basis"][name]) for name in MATRICES}) if "basis" in data else NO_BASIS
            fitted = cls(spec, quantizer, params, tables, predicted, layout, after, transform, basis, of_fields)
            fitted._check(data)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise BundleError(f"contract: a tensor of the codec is not well-formed ({error}).") from error
        return fitted

    def _layout_json(self) -> JsonObject:
        if self.layout == USUAL_LAYOUT:
            return {} if self.transform.is_identity else {"wire_shape": list(self.wire_shape)}
        return {"layout": self.layout.model_dump(), "wire_shape": list(self.wire_shape)}

    def _check(self, data: JsonObject) -> None:
        rows = len(self.params.lo)
        if fault := self.layout.fault(self.spec.shape):
            raise ValueError(fault)
        untransformed = self.layout.wire_shape(self.spec.shape)
        if fault := self.transform.refusal(untransformed):
            raise ValueError(fault)
        mixes = self.transform.mixes_channels
        self.basis.check(int(untransformed[1]) if mixes else 0, is_mixed=mixes)
        if data.get("wire_shape", list(self.wire_shape)) != list(self.wire_shape):
            raise ValueError(f"wire_shape is {data['wire_shape']}, the layout gives {list(self.wire_shape)}")
        if not {"layout", "wire_shape"} & data.keys() == self._layout_json().keys():
            raise ValueError("layout and wire_shape are there together, where the layout is not the usual one")
        if rows not in {1, self.channels}:
            raise ValueError(f"{rows} rows of parameters for {self.channels} channels")
        self.quantizer.check(self.params)
        if self.predicted_params is not None:
            self.quantizer.check(self.predicted_params)


def _hash(arrays: Iterable[F32]) -> bytes:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.array(array.shape, "<u4").tobytes() + array.astype("<f4").tobytes())
    return digest.digest()[:HASH_BYTES]


def _whole(number: object) -> int:
    if type(number) is not int:
        raise ValueError(f"count: {number!r} is not a whole number")
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
