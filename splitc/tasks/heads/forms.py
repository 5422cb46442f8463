"""Corners or centres, pixels or shares: told by real boxes, and turned into corners in pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import numpy as np

from splitc.errors import RecipeError
from splitc.tasks.geometry import corners_of_centers
from splitc.tasks.heads.head import Size
from splitc.tasks.heads.options import BoxForm, BoxUnit, HeadOptions
from splitc.types import F64

ORDERED = 0.999
"""Share of boxes whose second corner lies behind the first one, if they are corners."""
RELATIVE = 2.0
"""Largest coordinate of boxes in shares of the picture: they may reach beyond it."""


_TENSORFLOW = re.compile(r"(^|/)(raw_)?detection_boxes(:?_?\d+)?$|TFLite_Detection_PostProcess")
"""Names that TensorFlow's detection API and TensorFlow Lite give to boxes ``y1 x1 y2 x2``."""


def decide_form(boxes: Sequence[F64], output: str) -> tuple[BoxForm, str]:
    """Whether boxes ``[K, 4]`` are corners or centres, and a note that says why.

    No numbers tell x from y, so only the output's name says that y comes first.

    Raises:
        RecipeError: They are neither.
    """
    rows = np.concatenate(list(boxes)) if boxes else np.zeros((0, 4))
    are_corners = not len(rows) or float(np.mean((rows[:, 2:] >= rows[:, :2]).all(1))) >= ORDERED
    if are_corners and _TENSORFLOW.search(output):
        return "corners_yx", f"output {output!r} is corners y1 x1 y2 x2: TensorFlow calls such boxes so"
    if not len(rows):
        return "corners", f"output {output!r}: no boxes in the examples; taken as corners x1 y1 x2 y2"
    if are_corners:
        return "corners", (
            f"output {output!r} is corners: x2 >= x1 and y2 >= y1; where y comes first, as in TensorFlow, write "
            'box_form = "corners_yx"'
        )
    if np.mean((rows[:, 2:] >= 0).all(1)) >= ORDERED:
        return "centers", f"output {output!r} is centres and sizes: third and fourth values are never negative"
    raise RecipeError(
        f"task 'detection': output {output!r} is neither corners nor centres with sizes: its third and fourth values "
        "are negative and below the first two. Offsets from priors must be decoded by the network; export it with its "
        "decoding, or write box_form."
    )


def decide_unit(boxes: Sequence[F64], output: str) -> tuple[BoxUnit, str]:
    """Whether boxes ``[K, 4]`` are in pixels or in shares of the input, and a note that says why."""
    largest = max((float(np.max(np.abs(one), initial=0.0)) for one in boxes), default=0.0)
    if not any(len(one) for one in boxes):
        return "pixels", f"output {output!r}: no boxes in the examples; taken as input pixels"
    if largest <= RELATIVE:
        return "relative", f"output {output!r} is in shares of the input: no coordinate exceeds {largest:.3g}"
    return "pixels", f"output {output!r} is in input pixels: coordinates reach {largest:.4g}"


def settle_boxes(options: HeadOptions, boxes: Sequence[F64], output: str) -> tuple[HeadOptions, list[str]]:
    """The options with ``box_form`` and ``box_unit`` decided, and notes of what was."""
    found: dict[str, object] = {}
    notes = []
    if options.box_form == "auto":
        found["box_form"], note = decide_form(boxes, output)
        notes.append(note)
    if options.box_unit == "auto":
        found["box_unit"], note = decide_unit(boxes, output)
        notes.append(note)
    return options.model_copy(update=found), notes


def require_size(options: HeadOptions, size: Size | None, output: str) -> None:
    """Raises: RecipeError: boxes are shares of an input whose size is open."""
    if options.box_unit == "relative" and size is None:
        raise RecipeError(
            f"task 'detection': output {output!r} is in shares of the input, whose size the network leaves open; write "
            "size = [width, height]."
        )


def to_pixels(boxes: F64, options: HeadOptions, size: Size | None) -> F64:
    """Boxes ``[K, 4]`` of a decided form and unit as corners in input pixels."""
    corners = corners_of_centers(boxes) if options.box_form == "centers" else boxes
    if options.box_form == "corners_yx":
        corners = corners[:, [1, 0, 3, 2]]
    if options.box_unit != "relative":
        return corners
    return corners * np.array(cast(Size, size) * 2, np.float64)
