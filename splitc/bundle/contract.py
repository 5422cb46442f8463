"""contract.json: what the two halves have agreed on. Everything a runtime needs, and nothing else."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from splitc.codec import Codec
from splitc.errors import BundleError
from splitc.types import Frozen, Preprocess, TensorSpec

MAX_BYTES = 64 << 20
"""A larger contract is refused before it is parsed."""


class Contract(Frozen):
    """The agreement between edge and cloud.

    ``codec`` is the fitted codec as JSON (``Codec.to_json``). ``quantized_in`` says where features become symbols:
    inside the two graphs, or on the host: above 8 bits, which a UINT8 wire cannot carry, and where a symbol depends on
    the frame before.
    """

    contract_schema: Literal[1] = 1
    name: str
    task: Literal["classification", "features"] = "classification"
    inputs: list[TensorSpec] = Field(min_length=1)
    outputs: list[TensorSpec] = Field(min_length=1)
    cut: list[TensorSpec] = Field(min_length=1)
    wire: list[TensorSpec] = Field(min_length=1)
    quantized_in: Literal["graph", "host"] = "graph"
    codec: dict[str, Any]
    preprocess: Preprocess
    classes: list[str] | None = None

    def fitted_codec(self, pair_id: str) -> Codec:
        """The codec, bound to this pair: it refuses the packets of any other.

        Args:
            pair_id: 64 hexadecimal digits from the manifest.
        """
        return Codec.from_json(self.codec, pair_tag=bytes.fromhex(pair_id)[:4])

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
        return (text + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Contract:
        """Raises: BundleError: not a contract of this version."""
        if len(data) > MAX_BYTES:
            raise BundleError(f"contract.json: {len(data)} bytes; at most {MAX_BYTES} are read.")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "document"
            raise BundleError(
                f"contract.json: {where}: {first['msg']}; rebuild the bundle with this version."
            ) from error
