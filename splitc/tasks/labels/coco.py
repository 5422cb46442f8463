"""Objects from COCO's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.tasks.labels.box_rows import LabelledBox, true_boxes
from splitc.tasks.labels.table import LabelTable

MAX_BYTES = 1 << 29
"""instances_train2017.json has 450 MB."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CocoImage(_Part):
    """One picture: its number, file name and size in pixels."""

    id: int
    file_name: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class CocoAnnotation(_Part):
    """One object: ``bbox`` is x, y, width, height in pixels."""

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class CocoCategory(_Part):
    """One class: its number and name."""

    id: int
    name: str = ""


class CocoFile(_Part):
    """What is read of a COCO JSON file."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]


def read_coco(file: Path, classes: Sequence[str] | None) -> LabelTable:
    """Objects by ``file_name``; pictures without annotations have none. Crowds are ignored objects.

    Args:
        file: Like instances_val2017.json.
        classes: The network's class names: categories are matched by name. Without them, categories in the order of
            their numbers are the classes 0, 1, 2 ...

    Raises:
        UsageError: Not JSON, not COCO's, or its categories are not the network's classes.
    """
    content = _parsed(file)
    index_of = _indices(file, content.categories, classes)
    images = {image.id: image for image in content.images}
    rows: dict[int, list[LabelledBox]] = {number: [] for number in images}
    for one in content.annotations:
        if one.image_id not in images or one.category_id not in index_of:
            raise UsageError(
                f"{file}: an annotation names image {one.image_id} and category {one.category_id}, and one of them is "
                "not in the file."
            )
        image, (x, y, w, h) = images[one.image_id], one.bbox
        corners = x / image.width, y / image.height, (x + w) / image.width, (y + h) / image.height
        rows[one.image_id].append(LabelledBox(index_of[one.category_id], corners, bool(one.iscrowd)))
    return LabelTable({images[number].file_name: true_boxes(found) for number, found in rows.items()})


def _parsed(file: Path) -> CocoFile:
    try:
        return CocoFile.model_validate(json.loads(read_bounded(file, MAX_BYTES)))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: is not JSON ({error}).") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{file}: is not COCO's JSON of objects: {where}: {first['msg']}.") from None


def _indices(file: Path, categories: Sequence[CocoCategory], classes: Sequence[str] | None) -> Mapping[int, int]:
    """Number of a category -> class index of the network."""
    if classes is None:
        return {number: index for index, number in enumerate(sorted(one.id for one in categories))}
    index_of = {name: index for index, name in enumerate(classes)}
    unknown = [one.name for one in categories if one.name not in index_of]
    if unknown:
        raise UsageError(
            f"{file}: the category {unknown[0]!r} is not one of the network's {len(classes)} classes, such as "
            f"{classes[0]!r}; give data.classes the same names."
        )
    return {one.id: index_of[one.name] for one in categories}
