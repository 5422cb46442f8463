"""Seal a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from splitc.bundle.manifest import (
    CLOUD_MODEL,
    CONTRACT,
    EDGE_MODEL,
    MANIFEST,
    REQUIRED,
    SCHEMA,
    UNLISTED,
    Manifest,
    file_entry,
    graph_sha256,
    is_file_name,
    manifest_from_bytes,
    pair_id,
)
from splitc.errors import BundleError


def write_manifest(
    folder: Path, *, name: str, splitc: str, tools: Mapping[str, str], inputs: Mapping[str, str]
) -> Manifest:
    """Hash every file in ``folder`` and write ``manifest.json`` beside them, in place of an earlier one.

    Raises:
        BundleError: A required file is missing, or a file or text that a bundle may not hold.
    """
    names = _file_names(folder)
    if missing := [name for name in REQUIRED if name not in names]:
        raise BundleError(f"a bundle needs {', '.join(missing)}, which the build did not write.")
    files = {name: file_entry(folder / name) for name in sorted(names)}
    edge, cloud = graph_sha256(files, EDGE_MODEL), graph_sha256(files, CLOUD_MODEL)
    try:
        manifest = Manifest(
            schema=SCHEMA,
            splitc=splitc,
            name=name,
            pair_id=pair_id((folder / CONTRACT).read_bytes(), edge, cloud),
            files=files,
            tools=dict(tools),
            inputs=dict(inputs),
        )
    except ValidationError as error:
        raise BundleError(f"the bundle's manifest cannot be written: {error.errors()[0]['msg']}.") from None
    data = manifest.to_bytes()
    manifest_from_bytes(data, MANIFEST)
    (folder / MANIFEST).write_bytes(data)
    return manifest


def _file_names(folder: Path) -> set[str]:
    names = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name in UNLISTED or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file() or not is_file_name(name):
            raise BundleError(f"{name!r} is not a plain file with a plain name; a bundle holds no other.")
        names.add(name)
    return names
