"""Labelled objects: COCO JSON, a folder of YOLO text files, or one of VOC XML files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splitc.errors import UsageError
from splitc.tasks.labels.class_names import read_classes
from splitc.tasks.labels.coco import read_coco
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.labels.voc import read_voc
from splitc.tasks.labels.yolo_text import indices_by_name, label_files, names_beside, read_yolo_text
from splitc.tasks.mean_average_precision import require_pycocotools

WANTED = "a COCO .json file, a folder of YOLO .txt files or a folder of VOC .xml files"


def read_object_labels(path: Path, classes: Sequence[str] | None) -> LabelTable:
    """Boxes in shares of their pictures, by picture.

    Args:
        path: A COCO JSON file, or a folder with one YOLO ``.txt`` or VOC ``.xml`` file a picture. YOLO's classes are
            matched by the names in a file beside them, where there is one and both are known.
        classes: The network's class names by index; files that name classes are matched by them.

    Raises:
        UsageError: Not there, of no known format, or damaged.
        CapabilityError: pycocotools, which judges by such labels, is not installed.
    """
    require_pycocotools()
    if path.is_dir():
        texts = label_files(path)
        documents = sorted(path.glob("*.xml"))
        if bool(texts) == bool(documents):
            holds = "both .txt and .xml files" if texts else "neither .txt nor .xml files"
            raise UsageError(f"{path}: holds {holds}; labels of objects are {WANTED}.")
        return _yolo(path, texts, classes) if texts else read_voc(documents, classes)
    if path.suffix.lower() != ".json":
        what = "is not a .json file" if path.exists() else "is not there"
        raise UsageError(f"{path}: {what}; labels of objects are {WANTED}.")
    return read_coco(path, classes)


def _yolo(folder: Path, texts: Sequence[Path], classes: Sequence[str] | None) -> LabelTable:
    """By names where both sides have them, else by number."""
    file = names_beside(folder)
    if file is None or not classes:
        return read_yolo_text(texts)
    return read_yolo_text(texts, indices_by_name(file, read_classes(file), classes))
