"""Rows of box files as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitc.tasks.truth import TrueBoxes


@dataclass(frozen=True)
class LabelledBox:
    """One object.

    Attributes:
        index: Class.
        corners: x1, y1, x2, y2 in shares of the picture.
        is_ignored: Counts neither as found nor as missed.
    """

    index: int
    corners: tuple[float, float, float, float]
    is_ignored: bool = False


def true_boxes(rows: Sequence[LabelledBox]) -> TrueBoxes:
    """All objects of one picture; there may be none."""
    return TrueBoxes(
        np.array([row.corners for row in rows], np.float64).reshape(-1, 4),
        np.array([row.index for row in rows], np.int64),
        np.array([row.is_ignored for row in rows], bool),
    )
