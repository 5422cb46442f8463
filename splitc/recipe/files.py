"""Paths in a recipe: relative to its folder, globs, and files inside installed packages."""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from splitc.errors import CapabilityError, RecipeError
from splitc.recipe.values import shown

HOLD_OUT_EVERY = 4
"""Of four calibration files, the fourth verifies."""
PACKAGE = "package:"


def relative(path: str, root: str) -> str:
    """``path`` without a place of this machine: an absolute one is rewritten relative to ``root``."""
    if not os.path.isabs(path):
        return path
    return Path(os.path.relpath(path, root)).as_posix()


def hold_out(paths: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Split calibration files into those that calibrate and those that verify.

    Files 4, 8, 12 ... verify. Of two or three files the last one does; a single file does both.
    """
    if len(paths) < 2:
        return tuple(paths), tuple(paths)
    step = min(HOLD_OUT_EVERY, len(paths))
    kept = tuple(path for index, path in enumerate(paths, 1) if index % step)
    return kept, tuple(paths[step - 1 :: step])


def find(patterns: Sequence[str], base: Path) -> tuple[Path, ...]:
    """Files that ``patterns`` name, pattern by pattern, sorted within each, each file once.

    A pattern is a file, a folder (every file directly in it) or a glob in which ``**`` crosses folders. Hidden files
    match only when the pattern spells their dot.

    Raises:
        RecipeError: A pattern matches no file.
        CapabilityError: A ``package:`` that is not installed.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        root, inner = _rooted(pattern, base)
        names = _matches(root, inner)
        if not names:
            raise RecipeError(f"{shown(pattern)} names no file (looked in {root}).")
        found.update(dict.fromkeys(root / name for name in names))
    return tuple(found)


def _matches(root: Path, pattern: str) -> list[str]:
    """Names relative to ``root``; a file whose own name holds brackets is itself, not a glob."""
    if (root / pattern).is_file():
        return [pattern]
    if (root / pattern).is_dir():
        pattern = glob.escape(pattern.rstrip("/")) + "/*"
    names = glob.glob(pattern, root_dir=root, recursive=True)
    return sorted(name for name in names if (root / name).is_file())


def _rooted(pattern: str, base: Path) -> tuple[Path, str]:
    if not pattern.startswith(PACKAGE):
        return base, pattern
    package, _, inner = pattern.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise CapabilityError(f"{shown(pattern)} needs the Python package {package!r}, which is not installed.")
    return Path(next(iter(spec.submodule_search_locations))), inner
