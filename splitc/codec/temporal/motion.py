"""Closed-loop prediction from the frame before, moved: one vector a block of 2 x 2 places for all channels.

A channel moves with its picture, so one vector serves all of them and costs next to nothing: half places, as objects
move by less than a stride. Where nothing of the frame before fits, a block is predicted from zero instead.
"""

from __future__ import annotations

from typing import ClassVar, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from splitc.codec.fitted import FittedTensor
from splitc.codec.temporal.dpcm import Dpcm
from splitc.codec.temporal.fields import field_shape
from splitc.native import _core
from splitc.types import F32, U8, Shape, Symbols

Element = TypeVar("Element", bound=np.generic)


class Motion(Dpcm):
    """:class:`Dpcm` against the moved frame before.

    The dead zone is adaptive and the mean error off unless said otherwise: at coarse steps both weigh more than
    vectors. The encoder looks for the vectors that leave the least to code, from those of the blocks around and of the
    frame before downhill. They travel in the packet, one small map beside each tensor's residual symbols.

    Source: block motion compensation of H.261 and later, one field for all channels as in our measurements.
    """

    name: ClassVar[str] = "motion"
    wire_id: ClassVar[int] = 4
    has_field: ClassVar[bool] = True

    dead_zone: Literal["fixed", "adaptive"] | None = Field(
        "adaptive", description="adaptive: wider where less changes; fixed: temporal_rounding says it"
    )
    flat_blocks: bool = Field(
        True, description='temporal = "motion": blocks of which nothing was there before are predicted from zero'
    )

    def refusal(self, wire: Shape) -> str | None:
        if len(wire) != 4:
            return f"has {len(wire)} axes as it is coded, and temporal 'motion' moves maps of four, [n, C, H, W]"
        return None

    def search(self, x: F32, previous: Symbols, last: Symbols, tensor: FittedTensor) -> Symbols:
        lo, scale = tensor.params.lo, tensor.params.scale
        flat, width, flat_blocks = _flat_symbols(tensor), x.shape[3], self.flat_blocks
        field = _core.search_motion(_rows(x), _symbols(previous), lo, scale, flat, _field(last), width, flat_blocks)
        return field.reshape(field_shape(previous.shape))

    def predict(self, previous: Symbols, field: Symbols, tensor: FittedTensor) -> Symbols:
        moved = _core.predict_moved(_symbols(previous), _field(field), _flat_symbols(tensor), previous.shape[3])
        return moved.reshape(previous.shape)


def _flat_symbols(tensor: FittedTensor) -> npt.NDArray[np.int32]:
    """Each channel's symbol nearest to zero, ``[C]``."""
    zero = np.clip(np.rint(-tensor.params.lo * tensor.params.scale), 0, tensor.count - 1).astype(np.int32)
    return np.ascontiguousarray(np.broadcast_to(zero, tensor.channels))


def _rows(maps: npt.NDArray[Element]) -> npt.NDArray[Element]:
    """``[n, C, H, W]`` as contiguous ``[n * C, H * W]``."""
    return np.ascontiguousarray(maps).reshape(maps.shape[0] * maps.shape[1], -1)


def _symbols(maps: Symbols) -> Symbols:
    return cast(Symbols, _rows(maps))


def _field(maps: Symbols) -> U8:
    """A field's symbols are of few bits."""
    return _rows(cast(U8, maps))
