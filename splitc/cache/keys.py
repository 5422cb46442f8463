"""What a result depends on, as one hash: the inputs, the options, the code and the machine that compute it."""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from splitc import files

Key: TypeAlias = str
"""SHA-256 in 64 hexadecimal digits."""

TOOLS = ("numpy", "onnx", "onnx-ir", "onnxruntime", "pillow", "zstandard", "av")
"""Packages whose version can change a result."""
CODE = (".py", ".so")


def key_of(**parts: object) -> Key:
    """The key of everything in ``parts``: numbers, texts, keys, and lists and tables of them.

    Raises:
        TypeError: A part that JSON cannot say.
        ValueError: A number that is not finite.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return files.sha256_bytes(text.encode())


@cache
def environment() -> Key:
    """This splitc, the tools it computes with, and the kind of processor: results of any other are not taken."""
    return key_of(
        code=_code_sha256(Path(__file__).parent.parent),
        tools={name: _version(name) for name in TOOLS},
        processor=_processor(),
    )


def package_sha256(name: str) -> str:
    """Of the code of another package that takes part, such as that of a user's own quantizer; "" where none is found.

    Args:
        name: Top-level, of a folder or of one module.
    """
    found = find_spec(name)
    if found is None:
        return ""
    if found.submodule_search_locations:
        return key_of(code=[_code_sha256(Path(folder)) for folder in found.submodule_search_locations])
    return files.sha256_of(Path(found.origin)) if found.has_location and found.origin else ""


def _code_sha256(root: Path) -> str:
    """Of a package's own files: a changed line of code starts afresh, whatever the version says."""
    every = sorted(path for path in root.rglob("*") if path.suffix in CODE)
    return files.sha256_bytes(*(f"{path.relative_to(root)}\0{files.sha256_of(path)}".encode() for path in every))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> list[str]:
    """Architecture and model: two of a kind take the same code paths, and so round alike."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part", "flags"))]
    return [platform.machine(), *dict.fromkeys(names)]
