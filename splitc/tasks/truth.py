"""What is known about a sample: the answers that labels give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from splitc.tasks.placement import Placement
from splitc.types import F64

IGNORED = 255
"""Class of pixels that are not judged."""


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """Labelled objects of one picture.

    Attributes:
        xyxy: Corners, float64 ``[K, 4]``: shares of the picture's width and height as labels are read, input pixels
            after :meth:`in_input`.
        classes: Class index of each, int64 ``[K]``.
        ignored: Objects that count neither as found nor as missed (COCO's crowds, VOC's difficult ones), bool ``[K]``.
        area: Rectangle of the picture, in the units of ``xyxy``; detections are clipped to it.
    """

    xyxy: F64
    classes: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]
    area: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def in_input(self, placement: Placement) -> TrueBoxes:
        """The same in the pixels of the network's input."""
        in_picture = self.xyxy * np.array(placement.size * 2, np.float64)
        return TrueBoxes(placement.to_input(in_picture), self.classes, self.ignored, placement.area)


@dataclass(frozen=True, eq=False)
class TrueMask:
    """Class of every pixel, int64 ``[H, W]``; :data:`IGNORED` where it is not judged.

    Attributes:
        classes: The classes.
    """

    classes: npt.NDArray[np.int64]

    def in_input(self, placement: Placement, size: tuple[int, int]) -> TrueMask:
        """The mask as the network's input shows it, by nearest pixels; the border is ignored.

        Args:
            placement: Where the picture lies.
            size: Of the input, (width, height), pixels.
        """
        columns = _source(size[0], placement.scale[0], placement.offset[0], placement.size[0], self.classes.shape[1])
        rows = _source(size[1], placement.scale[1], placement.offset[1], placement.size[1], self.classes.shape[0])
        found = self.classes[np.maximum(rows, 0)[:, None], np.maximum(columns, 0)]
        return TrueMask(np.where((rows < 0)[:, None] | (columns < 0), IGNORED, found))

    def resized(self, height: int, width: int) -> TrueMask:
        """By nearest pixels."""
        rows = np.arange(height) * self.classes.shape[0] // height
        columns = np.arange(width) * self.classes.shape[1] // width
        return TrueMask(self.classes[rows[:, None], columns])


Truth: TypeAlias = int | frozenset[int] | F64 | TrueBoxes | TrueMask
"""A class, a set of classes, values, objects or pixels."""


def _source(count: int, scale: float, offset: float, picture: int, stored: int) -> npt.NDArray[np.int64]:
    """Index among ``stored`` pixels for each of ``count`` input pixels; -1 outside the picture."""
    places = np.floor((np.arange(count) + 0.5 - offset) / scale * stored / picture).astype(np.int64)
    return np.where((places >= 0) & (places < stored), places, -1)
