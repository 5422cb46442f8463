"""The few types that every room shares. numpy and pydantic only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]
U8: TypeAlias = npt.NDArray[np.uint8]
U16: TypeAlias = npt.NDArray[np.uint16]
Symbols: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Integers made by a quantizer: uint8 up to 8 bits, uint16 above."""
Array: TypeAlias = npt.NDArray[Any]
AnyArray = TypeVar("AnyArray", bound=Array)
"""One kind of array in, the same kind out."""
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


_MULTIPLE = re.compile(r"([1-9][0-9]{0,17})\*([A-Za-z_][A-Za-z0-9_]*)")


def factors_of(dim: Dim) -> tuple[int, str | None]:
    """A dimension as a number times a name: ``7`` is (7, None), ``N`` (1, "N"), and ``4*N``, torch's way, (4, "N")."""
    if isinstance(dim, int):
        return dim, None
    match = _MULTIPLE.fullmatch(dim)
    return (int(match[1]), match[2]) if match else (1, dim)


NO_DIM_NAMES = frozenset({"", "?", "*", "-1", "None", "none", "unknown"})
"""What exporters call a dimension that has no name; two of them may differ in size."""


class TensorSpec(Frozen):
    """Name, element type (numpy's name: float32, uint8, int64 ...) and shape of one tensor."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class Layout(Frozen):
    """Which axes of a feature count its samples and its channels.

    A codec works on the *wire*: samples on axis 0, channels on axis 1, the other axes behind them in their order. A
    feature ``[T, N, C]`` with ``batch_axis = 1`` and ``channel_axis = 2`` has the wire ``[N, C, T]``. With the usual
    layout, which is the default, a feature is its own wire, ``[N]`` without channels included.

    Attributes:
        batch_axis: Axis of the samples; None: the feature is one sample, and its wire has an axis 0 of size 1.
        channel_axis: Axis of the channels, of fixed size; None: there are none, and the wire has an axis 1 of size 1.
    """

    batch_axis: int | None = Field(0, ge=0, strict=True)
    channel_axis: int | None = Field(1, ge=0, strict=True)

    def fault(self, shape: Shape) -> str | None:
        """Why a tensor of ``shape`` cannot have this layout, or None."""
        named = [axis for axis in (self.batch_axis, self.channel_axis) if axis is not None]
        if self == Layout() and len(shape) == 1:
            return None
        if any(axis >= len(shape) for axis in named):
            return f"axis {max(named)} is not one of the {len(shape)} axes of {list(shape)}"
        if len(set(named)) < len(named):
            return f"axis {named[0]} cannot be both the samples' and the channels'"
        if self.channel_axis is not None and not isinstance(shape[self.channel_axis], int):
            return f"axis {self.channel_axis} has no fixed size"
        return None

    def order(self, rank: int) -> tuple[int, ...]:
        """The feature's axes in the order of the wire."""
        named = [axis for axis in (self.batch_axis, self.channel_axis) if axis is not None and axis < rank]
        return (*named, *(axis for axis in range(rank) if axis not in named))

    def new_axes(self, rank: int) -> tuple[int, ...]:
        """Axes of the wire, each of size 1, that the feature has not."""
        if self.batch_axis is None:
            return (0,) if self.channel_axis is not None else (0, 1)
        return (1,) if self.channel_axis is None and rank > 1 else ()

    def wire_shape(self, shape: Shape) -> Shape:
        """Shape of the wire of a feature of ``shape``."""
        sizes: list[Dim] = [shape[axis] for axis in self.order(len(shape))]
        for axis in self.new_axes(len(shape)):
            sizes.insert(axis, 1)
        return tuple(sizes)

    def to_wire(self, x: AnyArray) -> AnyArray:
        """A feature as its wire, contiguous; itself where both are the same."""
        moved = np.expand_dims(x.transpose(self.order(x.ndim)), self.new_axes(x.ndim))
        return cast(AnyArray, np.ascontiguousarray(moved))

    def from_wire(self, wire: AnyArray, rank: int) -> AnyArray:
        """Invert :meth:`to_wire`; ``rank`` is the feature's."""
        moved = wire.squeeze(self.new_axes(rank)).transpose(np.argsort(self.order(rank)))
        return cast(AnyArray, np.ascontiguousarray(moved))


USUAL_LAYOUT = Layout()
"""Samples first, channels second: the wire is the feature itself."""


Level: TypeAlias = Annotated[int, Field(ge=0, le=255)]
"""Of one colour of an 8-bit pixel."""


def _three(value: object) -> object:
    """One number stands for all channels."""
    alone = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
    is_number = isinstance(alone, (int, float)) and not isinstance(alone, bool)
    return (alone, alone, alone) if is_number else value


Channels: TypeAlias = Annotated[tuple[float, float, float], BeforeValidator(_three)]
"""A number a channel, in the network's order; one alone stands for all."""


class Preprocess(Frozen):
    """How a picture becomes the network's input.

    Resized, cropped, then ``y = (pixel * scale - mean) / std``. The input's own shape and element type say the rest:
    where the channels are (:attr:`layout` where that is ambiguous), how many, and of which type. An integer input takes
    pixels as they are where ``scale``, ``mean`` and ``std`` are the defaults.
    """

    resize: Pixels | tuple[Pixels, Pixels] | None = Field(
        None, description="shorter side in pixels, aspect ratio kept; or [height, width], see fit"
    )
    fit: Literal["stretch", "letterbox", "cover"] = Field(
        "stretch",
        description="how a picture fits [height, width]: aspect ratio lost; kept, with a border; or kept, its middle",
    )
    pad: Level = Field(114, description="grey level of the letterbox's border")
    anchor: Literal["centre", "top_left"] = Field("centre", description="where a letterboxed picture lies")
    crop: int | None = Field(None, ge=1, le=16384, description="square crop in pixels")
    interpolation: str = Field("bilinear", pattern="^(nearest|bilinear|bicubic|lanczos)$")
    scale: float = Field(1 / 255, gt=0)
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr", "grey"] = Field("rgb", description="order of the channels, or one of luma")
    layout: Literal["auto", "nchw", "nhwc"] = Field(
        "auto", description="axis of the channels: the one of size 1 or 3, unless both could be"
    )
    background: tuple[Level, Level, Level] = Field(
        (255, 255, 255), description="RGB behind what is transparent in a picture"
    )
    in_graph: bool = Field(
        False,
        strict=True,
        description="the edge graph takes uint8 NHWC and does scale, mean, std and transposition itself",
    )

    @model_validator(mode="after")
    def _agree(self) -> Preprocess:
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if self.channels == "grey" and len(set(numbers)) > 1:
                raise ValueError(f'must have one number as {name} with channels = "grey", got {list(numbers)}')
        if self.fit != "stretch" and not isinstance(self.resize, tuple):
            raise ValueError(f'must have resize = [height, width] with fit = "{self.fit}", got {self.resize}')
        return self


@dataclass(frozen=True)
class Placement:
    """``input = picture * scale + offset``, in pixels; what lies outside the picture is border.

    Attributes:
        scale: Input pixels a picture pixel, (x, y).
        offset: Where the picture's top left corner lies in the input, (x, y), input pixels; negative where it is
            cropped.
        size: Of the picture, (width, height), picture pixels.
        input_size: Of the input, (width, height), input pixels.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    size: tuple[int, int]
    input_size: tuple[int, int]

    @property
    def area(self) -> tuple[float, float, float, float]:
        """The picture's rectangle in the input: x1, y1, x2, y2."""
        (sx, sy), (x, y), (width, height) = self.scale, self.offset, self.size
        return x, y, x + width * sx, y + height * sy

    def to_input(self, xyxy: F64) -> F64:
        """Corners ``[K, 4]`` in picture pixels -> the same in input pixels."""
        return np.asarray(xyxy * np.array(self.scale * 2) + np.array(self.offset * 2))

    def to_picture(self, xyxy: F64) -> F64:
        """Corners ``[K, 4]`` in input pixels -> the same in picture pixels, clipped to the picture."""
        corners = (xyxy - np.array(self.offset * 2)) / np.array(self.scale * 2)
        return np.asarray(np.clip(corners, 0, np.array(self.size * 2, np.float64)))
