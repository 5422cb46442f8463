"""What a recipe says about files: never a place of this machine, and which samples verify."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

HOLD_OUT_EVERY = 4
"""Of four calibration files, the fourth verifies."""


def relative(path: str, root: str) -> str:
    """``path`` without a place of this machine: an absolute one is rewritten relative to ``root``."""
    if not os.path.isabs(path):
        return path
    return Path(os.path.relpath(path, root)).as_posix()


def hold_out_end(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """As :func:`hold_out` where files in a row are consecutive frames: the last quarter verifies."""
    if len(paths) < 2:
        return list(paths), list(paths)
    kept = len(paths) - max(1, len(paths) // HOLD_OUT_EVERY)
    return list(paths[:kept]), list(paths[kept:])


def hold_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Split calibration files into those that calibrate and those that verify.

    Files 4, 8, 12 ... verify. Of two or three files the last one does; a single file calibrates.
    """
    if len(paths) < 2:
        return list(paths), []
    step = min(HOLD_OUT_EVERY, len(paths))
    kept = [path for index, path in enumerate(paths, 1) if index % step]
    return kept, list(paths[step - 1 :: step])
