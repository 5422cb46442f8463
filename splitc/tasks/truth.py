"""What is known about a sample: the answers that labels give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from splitc.tasks.placement import Placement
from splitc.types import F64

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
"""Rectangle of a picture in shares of itself."""
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
    area: tuple[float, float, float, float] = WHOLE_PICTURE

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

    def in_input(self, placement: Placement) -> TrueMask:
        """The mask as the network's input shows it, by nearest pixels; the border is ignored."""
        columns, rows = (_source(placement, axis, stored) for axis, stored in enumerate(reversed(self.classes.shape)))
        found = self.classes[np.maximum(rows, 0)[:, None], np.maximum(columns, 0)]
        return TrueMask(np.where((rows < 0)[:, None] | (columns < 0), IGNORED, found))

    def resized(self, height: int, width: int) -> TrueMask:
        """By nearest pixels."""
        rows = np.arange(height) * self.classes.shape[0] // height
        columns = np.arange(width) * self.classes.shape[1] // width
        return TrueMask(self.classes[rows[:, None], columns])


def class_fault(classes: Iterable[int], count: int) -> str:
    """Why labelled classes can be no answer of a network of ``count`` classes; empty where they can."""
    wrong = next((index for index in classes if not 0 <= index < count), None)
    return "" if wrong is None else f"is labelled {wrong}, and the network has classes 0 to {count - 1}"


Truth: TypeAlias = int | frozenset[int] | F64 | TrueBoxes | TrueMask
"""A class, a set of classes, values, objects or pixels."""


def _source(placement: Placement, axis: int, stored: int) -> npt.NDArray[np.int64]:
    """Index among ``stored`` pixels of the mask for each input pixel along x (0) or y (1); -1 outside the picture."""
    in_picture = (np.arange(placement.input_size[axis]) + 0.5 - placement.offset[axis]) / placement.scale[axis]
    places = np.floor(in_picture * stored / placement.size[axis]).astype(np.int64)
    return np.where((places >= 0) & (places < stored), places, -1)
