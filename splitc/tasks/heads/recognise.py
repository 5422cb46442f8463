"""Which head the outputs of a network are, where their shapes allow one only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from splitc.errors import RecipeError
from splitc.tasks.heads.head import DetectionHead, HeadRequest, Size
from splitc.tasks.heads.listed import End2End, Listed, is_rows, list_parts
from splitc.tasks.heads.pairs import Detr, Ssd, box_pair
from splitc.tasks.heads.yolo import YoloV3, YoloV5, YoloV8, values_axis
from splitc.types import Shape

HEADS: Mapping[str, Callable[[HeadRequest], DetectionHead]] = {
    "yolov3": YoloV3.bind,
    "yolov5": YoloV5.bind,
    "yolov8": YoloV8.bind,
    "end2end": End2End.bind,
    "ssd": Ssd.bind,
    "detr": Detr.bind,
    "boxes": Listed.bind,
}
STRIDES = (8, 16, 32)
"""Of the levels of YOLOv5 and later."""
MOST_QUERIES = 1000
"""Lists and transformers have no more rows, grids of priors have."""


def bind_head(request: HeadRequest) -> DetectionHead:
    """The head that the options name, or the only one that the shapes allow.

    Raises:
        RecipeError: None, or several.
    """
    if request.options.head != "auto":
        return HEADS[request.options.head](request)
    candidates = recognise(request)
    if len(candidates) != 1:
        found = f"could be {' or '.join(map(repr, candidates))}" if candidates else "are no head that is known"
        raise request.refusal(found, f"write head = one of {', '.join(candidates or HEADS)}, and its outputs")
    try:
        return HEADS[candidates[0]](request)
    except RecipeError as error:
        raise RecipeError(f"{error} (Recognised from the shapes: head {candidates[0]!r}.)") from error


def recognise(request: HeadRequest) -> list[str]:
    """Names of the heads that the shapes of the outputs allow."""
    specs = request.specs
    if len(specs) > 1 and list_parts(request) is not None:
        return ["boxes"]
    maps = [spec for spec in specs if len(spec.shape) == 4]
    if maps and len(maps) == len(specs) and len({spec.shape[1] for spec in maps}) == 1:
        return ["yolov3"]
    pair = box_pair(request)
    if pair is not None:
        return _of_pair(pair[1].name, pair[1].shape)
    rows = [spec for spec in specs if len(spec.shape) == 3]
    if len(specs) == 1 and is_rows(specs[0]) and _is_short(specs[0].shape):
        return ["end2end"]
    if len(rows) == 1 and len(specs) - len(rows) == len(maps):
        return _of_rows(rows[0].shape, request)
    return []


def _of_pair(scores: str, shape: Shape) -> list[str]:
    rows = shape[1]
    if "logit" in scores.lower() and not (isinstance(rows, int) and rows > MOST_QUERIES):
        return ["detr"]
    return ["ssd"] if isinstance(rows, int) and rows > MOST_QUERIES else ["ssd", "detr"]


def _is_short(shape: Shape) -> bool:
    """Rows of a list rather than of a grid; of an open number where the axis of the values is fixed."""
    return len(shape) == 2 or not isinstance(shape[1], int) or shape[1] <= MOST_QUERIES


def _of_rows(shape: Shape, request: HeadRequest) -> list[str]:
    """YOLO rows with objectness or without: by the layout, the number of rows, then the number of names."""
    names = request.class_names
    axis = values_axis(shape, None if names is None else names + 4)
    if axis == 1:
        return ["yolov8"]
    values, rows = shape[2], shape[1]
    cells = None if request.size is None else grid_cells(request.size)
    by_rows = {cells: ["yolov8"], 3 * cells: ["yolov5"]}.get(rows, []) if cells and isinstance(rows, int) else []
    by_names = [head for head, before in (("yolov5", 5), ("yolov8", 4)) if values == (names or -before) + before]
    if by_rows and by_names and by_rows != by_names:
        return sorted({*by_rows, *by_names})
    return by_names or by_rows or ["yolov5", "yolov8"]


def grid_cells(size: Size) -> int:
    """Cells of all levels together, of an input of (width, height) pixels."""
    return sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in STRIDES)
