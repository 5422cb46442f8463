"""contract.json: what the two halves have agreed on. Everything a runtime needs, and nothing else."""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, ValidationError, field_serializer

from splitc.bundle.strict_json import parse_json
from splitc.codec import Codec
from splitc.errors import BundleError
from splitc.types import Frozen, Preprocess, TensorSpec

MAX_BYTES = 64 << 20
"""A larger contract is refused before it is parsed."""
_FIRST_KEYS = frozenset({"resize", "crop", "interpolation", "scale", "mean", "std", "channels"})
"""Keys of preprocessing that every contract spells."""


class Contract(Frozen):
    """The agreement between edge and cloud.

    ``codec`` is the fitted codec as JSON (``Codec.to_json``). ``quantized_in`` says where features become symbols:
    inside the two graphs, or on the host: above 8 bits, which a UINT8 wire cannot carry, and where a symbol depends on
    the frame before.

    ``wire`` is what crosses between graph and host. In graphs that quantize it has the axes that the codec works on,
    samples and channels first, which need not be those of ``cut``: the codec's tensors hold the layout where it is
    not the usual one. On the host it is the cut itself.

    ``inputs`` and ``outputs`` are the network's. Of the inputs, ``cloud_inputs`` go to the tail as they are, lossless
    beside the packet, and to the head where it reads them; all others go to the head alone. Of the outputs,
    ``edge_outputs`` are answered by the head, all others by the tail. Both are empty, and then not spelled, for most.

    ``task_options`` are what the task needs to read the outputs, everything recognised spelled out; empty, and then not
    spelled at all, where it is what the task's name says alone.
    """

    contract_schema: Literal[1] = 1
    name: str
    task: str = Field("classification", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    task_options: dict[str, JsonValue] = Field({})
    inputs: list[TensorSpec] = Field(min_length=1)
    outputs: list[TensorSpec] = Field(min_length=1)
    cloud_inputs: list[str] = Field([])
    edge_outputs: list[str] = Field([])
    cut: list[TensorSpec] = Field(min_length=1)
    wire: list[TensorSpec] = Field(min_length=1)
    quantized_in: Literal["graph", "host"] = "graph"
    codec: dict[str, Any]
    preprocess: Preprocess
    classes: list[str] | None = None

    @field_serializer("preprocess", mode="wrap")
    def _preprocess(self, how: Preprocess, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without later keys where they say nothing: runtimes of before read the rest as they always did."""
        kept: dict[str, Any] = dump(how)
        default = dump(Preprocess())
        return {key: value for key, value in kept.items() if key in _FIRST_KEYS or value != default[key]}

    @property
    def given(self) -> list[TensorSpec]:
        """Inputs that the tail takes as they are."""
        return [spec for spec in self.inputs if spec.name in self.cloud_inputs]

    @property
    def tail_inputs(self) -> list[TensorSpec]:
        """What the tail takes: the wire, then what it is given."""
        return [*self.wire, *self.given]

    @property
    def tail_outputs(self) -> list[TensorSpec]:
        """Outputs that the tail answers."""
        return [spec for spec in self.outputs if spec.name not in self.edge_outputs]

    @property
    def exits(self) -> list[TensorSpec]:
        """Outputs that the head answers."""
        return [spec for spec in self.outputs if spec.name in self.edge_outputs]

    def fitted_codec(self, pair_id: str) -> Codec:
        """The codec, bound to this pair: it refuses the packets of any other.

        Args:
            pair_id: 64 hexadecimal digits from the manifest.
        """
        return Codec.from_json(self.codec, pair_tag=bytes.fromhex(pair_id)[:4])

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        absent = {name for name in ("task_options", "cloud_inputs", "edge_outputs") if not getattr(self, name)}
        text = json.dumps(self.model_dump(mode="json", exclude=absent), indent=1, sort_keys=True, ensure_ascii=False)
        return (text + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Contract:
        """Raises: BundleError: not a contract of this version, or one that contradicts itself."""
        if len(data) > MAX_BYTES:
            raise BundleError(f"contract.json: {len(data)} bytes; at most {MAX_BYTES} are read.")
        document = parse_json(data, "contract.json")  # refuses a key twice, NaN, deep nesting, half a letter
        try:
            contract = cls.model_validate(document)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise BundleError(
                f"contract.json: {where}: {first['msg']}; rebuild the bundle with this version."
            ) from error
        contract.check()
        return contract

    def check(self) -> None:
        """Compare the fields with each other; whoever wrote them is not trusted.

        Raises:
            BundleError: Two fields contradict each other, or a number cannot be computed with.
        """
        codec, in_graph = Codec.from_json(self.codec), self.quantized_in == "graph"
        tensors = [tensor.spec for tensor in codec.tensors]
        for name in ("inputs", "outputs", "cut", "wire"):
            names = [spec.name for spec in getattr(self, name)]
            _require(len(set(names)) == len(names), name, "names a tensor twice")
        _require(all(_is_numpy(spec.dtype) for spec in self.inputs), "inputs", "has an element type that NumPy lacks")
        for field, names, specs in (
            ("cloud_inputs", self.cloud_inputs, self.inputs),
            ("edge_outputs", self.edge_outputs, self.outputs),
        ):
            known = [spec.name for spec in specs]
            _require(len(set(names)) == len(names), field, "names a tensor twice")
            _require(set(names) < set(known) or not names, field, f"is {names}, and the network has {known}")
        _require(tensors == self.cut, "codec", "its tensors are not those of the cut")
        _require(in_graph == codec.spec.fits_graph, "quantized_in", f"is {self.quantized_in!r}, and the codec differs")
        wanted = [("uint8", one.wire_shape) if in_graph else (one.spec.dtype, one.spec.shape) for one in codec.tensors]
        sides = [tensor for tensor in codec.tensors if in_graph and tensor.quantizer.side_count]
        wanted += [("float32", (tensor.wire_shape[0], tensor.quantizer.side_count)) for tensor in sides]
        carried = [(spec.dtype, spec.shape) for spec in self.wire]
        _require(carried == wanted, "wire", f"carries {carried}, and the cut needs {wanted}")
        how = self.preprocess
        with np.errstate(over="ignore", under="ignore"):  # float32, as pictures are computed with
            scale, mean, std = (np.array(one, np.float64).astype(np.float32) for one in (how.scale, how.mean, how.std))
        is_finite = all(np.isfinite(one).all() for one in (scale, mean, std))
        usable = bool(is_finite and scale > 0 and std.all())
        _require(usable, "preprocess", "holds numbers that no picture can be computed with")
        takes_pixels = not how.in_graph or any(spec.dtype == "uint8" for spec in self.inputs)
        _require(takes_pixels, "preprocess", "is in the graph, and no input takes uint8")


def _require(holds: bool, field: str, fault: str) -> None:
    if not holds:
        raise BundleError(f"contract.json: {field}: {fault}; the bundle is not one that splitc built.")


def _is_numpy(dtype: str) -> bool:
    try:
        np.dtype(dtype)
    except TypeError:
        return False
    return True
