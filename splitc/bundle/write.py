"""Fill and seal a bundle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from splitc.bundle.manifest import (
    CLOUD_MODEL,
    CONTRACT,
    EDGE_MODEL,
    MANIFEST,
    RECIPE,
    REQUIRED,
    SCHEMA,
    Manifest,
    file_entry,
    graph_sha256,
    is_file_name,
    manifest_from_bytes,
    pair_id,
)
from splitc.bundle.read import Bundle, open_bundle
from splitc.bundle.staging import staging
from splitc.errors import BundleError


def write_bundle(
    out: Path,
    fill: Callable[[Path], None],
    *,
    name: str,
    splitc: str,
    tools: Mapping[str, str],
    inputs: Mapping[str, str],
) -> Bundle:
    """Let ``fill`` write the files into an empty folder, seal it, and put it in place of ``out`` at once.

    Args:
        out: Where the bundle is to stand; an earlier bundle there is replaced.
        fill: Gets the folder; writes at least contract, recipe and both models.
        name: Name of the recipe.
        splitc: Version of splitc.
        tools: Tool to version.
        inputs: Input to sha256.

    Raises:
        BundleError: As :func:`staging` and :func:`write_manifest`.
    """
    with staging(out) as folder:
        fill(folder)
        manifest = write_manifest(folder, name=name, splitc=splitc, tools=tools, inputs=inputs)
    return Bundle(Path(out), manifest)


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


def add_files(path: Path, files: Mapping[str, bytes]) -> Bundle:
    """Add files to a bundle, or replace reports and engines in it; all of them at once or none.

    The bundle is verified first, so damage never gets a new hash. Of two commands that add at the same time the later
    one wins.

    Args:
        path: An existing bundle.
        files: Name in the bundle to contents.

    Raises:
        BundleError: The bundle is damaged, the disk is full, or a name is part of the pair.
    """
    old = open_bundle(path)
    for name in files:
        if not is_file_name(name) or name in (CONTRACT, RECIPE) or name.startswith((EDGE_MODEL, CLOUD_MODEL)):
            raise BundleError(f"{path}: {name!r} cannot be added: it is part of the pair, or not a plain file name.")
    with staging(path) as folder:
        for name in old.manifest.files.keys() - files.keys():
            _link(old.path / name, folder / name)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        same = old.manifest
        manifest = write_manifest(folder, name=same.name, splitc=same.splitc, tools=same.tools, inputs=same.inputs)
    return Bundle(Path(path), manifest)


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes; a copy where the file system has no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)


def _file_names(folder: Path) -> set[str]:
    names = set()
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name == MANIFEST or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file() or not is_file_name(name):
            raise BundleError(f"{name!r} is not a plain file with a plain name; a bundle holds no other.")
        names.add(name)
    return names
