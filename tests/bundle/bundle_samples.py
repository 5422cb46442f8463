"""The smallest bundle there is."""

from __future__ import annotations

from pathlib import Path

from splitc.bundle import Bundle, staging, write_manifest

REQUIRED = ("contract.json", "recipe.lock.toml", "edge/model.onnx", "cloud/model.onnx")


def fill(folder: Path) -> None:
    for name in REQUIRED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")


def write(out: Path, fill=fill, **changes) -> Bundle:
    identity = {"name": "x", "splitc": "0.1.0", "tools": {"onnxruntime": "1.20.0"}, "inputs": {"model": "0" * 64}}
    with staging(out) as folder:
        fill(folder)
        manifest = write_manifest(folder, **{**identity, **changes})
    return Bundle(Path(out), manifest)
