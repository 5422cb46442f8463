"""Class of every pixel, from pictures. Pillow is imported here, and this module only when masks are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from splitc.errors import UsageError
from splitc.tasks.labels.table import LabelTable
from splitc.tasks.truth import TrueMask, Truth

INDEXED = ("L", "P", "I", "I;16", "1")
"""Pillow's modes whose pixels are numbers of classes."""


def read_mask_labels(folder: Path) -> LabelTable:
    """A picture's mask from the ``.png`` of its name, read when it is asked for; 255 is not judged.

    Raises:
        UsageError: Not a folder, or without ``.png`` files.
    """
    files = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if not files:
        raise UsageError(
            f"{folder}: labels of pixels are a folder of .png files, the class of each pixel as its value."
        )
    known: dict[str, Truth | Callable[[], Truth]] = {file.stem: partial(_read, file) for file in files}
    return LabelTable(known, by_stem=True)


def _read(file: Path) -> TrueMask:
    try:
        with Image.open(file) as picture:
            if picture.mode not in INDEXED:
                raise UsageError(f"{file}: has colours ({picture.mode}); a mask's pixels are numbers of classes.")
            return TrueMask(np.asarray(picture).astype(np.int64))
    except (OSError, Image.DecompressionBombError) as error:
        raise UsageError(f"{file}: cannot be read as a picture ({error}).") from None
