"""The few types that every room shares. numpy and pydantic only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]
U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
Symbols: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Integers made by a quantizer: uint8 up to 8 bits, uint16 above."""
Array: TypeAlias = npt.NDArray[Any]
Dim: TypeAlias = int | str
"""A fixed size, or the name of a dynamic one."""
Shape: TypeAlias = tuple[Dim, ...]
Feeds: TypeAlias = Mapping[str, Array]


class Frozen(BaseModel):
    """A value: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


TENSORRT_LINE = r"^[0-9]{1,4}(\.[0-9]{1,4}){1,3}$"
Line: TypeAlias = Annotated[str, Field(pattern=TENSORRT_LINE)]
"""A TensorRT version as far as it is known: ``10.3``, ``11.1.0``. It stands in shell scripts."""
Pixels: TypeAlias = Annotated[int, Field(ge=1, le=16384)]


class TensorSpec(Frozen):
    """Name, element type (numpy's name: float32, uint8, int64 ...) and shape of one tensor."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Preprocess(Frozen):
    """How a picture becomes the network's input.

    ``y = (rgb * scale - mean) / std`` on the resized, cropped picture; NCHW float32.
    """

    resize: Pixels | tuple[Pixels, Pixels] | None = Field(
        None, description="shorter side in pixels, aspect ratio kept; or [height, width], aspect ratio lost"
    )
    crop: int | None = Field(None, ge=1, le=16384, description="square crop in pixels")
    interpolation: str = Field("bilinear", pattern="^(nearest|bilinear|bicubic|lanczos)$")
    scale: float = Field(1 / 255, gt=0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    channels: str = Field("rgb", pattern="^(rgb|bgr)$")
