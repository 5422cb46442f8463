"""Objects from Pascal VOC's XML files, one a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from splitc.errors import UsageError
from splitc.files import read_bounded
from splitc.registry import nearest
from splitc.tasks.labels.box_rows import LabelledBox, true_boxes
from splitc.tasks.labels.table import LabelTable

MAX_BYTES = 4 << 20


def read_voc(files: Sequence[Path], classes: Sequence[str] | None) -> LabelTable:
    """A picture's objects from the file of its name; difficult ones are ignored objects.

    Args:
        files: With ``size``, and ``object`` with ``name`` and ``bndbox``.
        classes: The network's class names by index.

    Raises:
        UsageError: Not XML, an entity declaration, a part that is missing, or a class that the network does not have.
    """
    if classes is None:
        raise UsageError(
            f"{files[0]}: VOC labels name their classes, and the network's are unknown; give data.classes."
        )
    index_of = {name: index for index, name in enumerate(classes)}
    return LabelTable({file.stem: true_boxes(_rows(file, index_of)) for file in files}, by_stem=True)


def _rows(file: Path, index_of: dict[str, int]) -> list[LabelledBox]:
    data = read_bounded(file, MAX_BYTES)
    if b"<!ENTITY" in data or b"<!DOCTYPE" in data:
        raise UsageError(f"{file}: declares a document type, which labels do not need; remove it.")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UsageError(f"{file}: is not XML ({error}).") from None
    width, height = (_number(file, root, f"size/{name}") for name in ("width", "height"))
    if width < 1 or height < 1:
        raise UsageError(f"{file}: size/width and size/height are {width:g} and {height:g}; they are pixels.")
    rows = []
    for one in root.iter("object"):
        name = (one.findtext("name") or "").strip()
        if name not in index_of:
            raise UsageError(f"{file}: the class {name!r} is not one of the network's.{nearest(name, list(index_of))}")
        x1, y1, x2, y2 = (_number(file, one, f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax"))
        corners = x1 / width, y1 / height, x2 / width, y2 / height
        rows.append(LabelledBox(index_of[name], corners, (one.findtext("difficult") or "0").strip() == "1"))
    return rows


def _number(file: Path, element: ElementTree.Element, path: str) -> float:
    text = element.findtext(path)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{file}: {element.tag}/{path} is {text!r}; a number is wanted.")
    return value
