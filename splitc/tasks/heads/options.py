"""What a detection head needs to be told, where shapes and examples do not tell it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from splitc.tasks.activations import Activation
from splitc.tasks.task import Task

HeadName: TypeAlias = Literal["auto", "yolov3", "yolov5", "yolov8", "end2end", "ssd", "detr", "boxes"]
Background: TypeAlias = Literal["auto", "first", "last", "none"]
BoxForm: TypeAlias = Literal["auto", "corners", "corners_yx", "centers"]
BoxUnit: TypeAlias = Literal["auto", "pixels", "relative"]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Count: TypeAlias = Annotated[int, Field(ge=1)]


class HeadOptions(Task):
    """Facts of a detection head. ``auto`` and what is left out are recognised, or the head is refused."""

    head: HeadName = Field("auto", description="form of the outputs; auto takes the one that the shapes allow")
    outputs: tuple[str, ...] | None = Field(
        None,
        description="names of the outputs that are read: levels in the order of `anchors`; or boxes, scores, then "
        "classes and the count where there are such",
    )
    anchors: tuple[tuple[Positive, ...], ...] | None = Field(
        None, description="yolov3: widths and heights in input pixels, one list a level: [[12, 18, 37, 49], ...]"
    )
    strides: tuple[Count, ...] | None = Field(
        None, description="yolov3: input pixels a cell of each level; from the input's size by default"
    )
    scale_x_y: float = Field(1.0, ge=1, le=2, description="yolov3: Darknet's stretch of the centres (YOLOv4)")
    activation: Activation = Field(
        "auto", description="whether scores still need their sigmoid or softmax; auto tells it by real outputs"
    )
    background: Background = Field("auto", description="ssd and detr: which class means that there is nothing")
    box_form: BoxForm = Field(
        "auto", description="ssd, boxes, end2end: x1 y1 x2 y2; y1 x1 y2 x2 (TensorFlow); centre and size"
    )
    box_unit: BoxUnit = Field("auto", description="ssd, boxes, end2end: input pixels, or shares of the input's size")
    class_count: int | None = Field(
        None, ge=1, description="yolov5 and yolov8: classes, where more values follow them (masks, keypoints)"
    )
    class_offset: int = Field(0, ge=0, description="boxes and end2end: number of the first class in the outputs")
    size: tuple[Count, Count] | None = Field(
        None, description="[width, height] of the input, where the network leaves it open"
    )
