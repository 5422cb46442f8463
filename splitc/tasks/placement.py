"""Where a picture lies in a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitc.types import F64


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
