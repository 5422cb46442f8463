"""Open a bundle that nobody vouches for: every name, size and hash is checked, and nothing in it is run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from splitc.bundle.manifest import (
    CLOUD_MODEL,
    CONTRACT,
    EDGE_MODEL,
    MANIFEST,
    MAX_DEPTH,
    MAX_FILES,
    MAX_READ_BYTES,
    RECIPE,
    SIGNATURE,
    UNLISTED,
    Manifest,
    file_entry,
    graph_sha256,
    is_built_folder,
    is_bytecode_folder,
    is_file_name,
    pair_id,
    read_manifest,
)
from splitc.bundle.strict_json import parse_json
from splitc.errors import BundleError
from splitc.files import Signature, open_plain, sha256_bytes

_SHOWN_FAULTS = 10


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: paths that exist and are listed, and the manifest that lists them.

    Attributes:
        path: Its folder.
        manifest: Lists its files.
        absent: Listed files that this copy does without: :func:`open_part`.
    """

    path: Path
    manifest: Manifest
    absent: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.manifest.name

    @property
    def pair_id(self) -> str:
        """What edge and cloud compare before they talk, 64 hex digits."""
        return self.manifest.pair_id

    @property
    def contract_path(self) -> Path:
        """``contract.json``."""
        return self.path / CONTRACT

    @property
    def recipe_path(self) -> Path:
        """``recipe.lock.toml``."""
        return self.path / RECIPE

    @property
    def edge_model(self) -> Path:
        """The head as ONNX."""
        return self.path / EDGE_MODEL

    @property
    def cloud_model(self) -> Path:
        """The tail as ONNX."""
        return self.path / CLOUD_MODEL

    @property
    def is_signed(self) -> bool:
        """Whether somebody has signed it; ``splitc.signing`` tells who, and whether that holds."""
        return (self.path / SIGNATURE).is_file()

    def __contains__(self, name: object) -> bool:
        return name in self.manifest.files and name not in self.absent

    def file(self, name: str) -> Path:
        """Path of a listed file.

        Raises:
            BundleError: The manifest does not list it, or this copy does without it.
        """
        if name not in self:
            raise BundleError(f"{self.path}: has no file {name!r}.")
        return self.path / name

    def engines(self, side: Literal["edge", "cloud"]) -> dict[str, tuple[str, ...]]:
        """Target name to the names of the files in its engine folder, sorted."""
        prefix = f"{side}/engines/"
        found: dict[str, tuple[str, ...]] = {}
        for name in sorted(self.manifest.files):
            target, slash, _ = name.removeprefix(prefix).partition("/")
            if name.startswith(prefix) and slash:
                found[target] = (*found.get(target, ()), name)
        return found

    def read_bytes(self, name: str, most_bytes: int = MAX_READ_BYTES) -> bytes:
        """Contents of a listed file, checked again while read.

        Raises:
            BundleError: Not listed, larger than ``most_bytes``, or changed since the bundle was opened.
        """
        path, entry = self.file(name), self.manifest.files[name]
        if entry.bytes > most_bytes:
            raise BundleError(f"{path}: has {entry.bytes} bytes, more than the {most_bytes} that are read at once.")
        try:
            with open_plain(path, BundleError) as file:
                data = file.read(entry.bytes + 1)
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror}.") from error
        if sha256_bytes(data) != entry.sha256:
            raise BundleError(f"{path}: has changed since the bundle was opened.")
        return data

    @contextmanager
    def unchanged(self, names: Sequence[str]) -> Iterator[None]:
        """Listed files are theirs by hash when the block begins, and nobody has touched them when it ends.

        For what a library reads by its path.

        Raises:
            BundleError: One of them is not what the manifest says, or was written or replaced meanwhile.
        """
        paths = {name: self.file(name) for name in names}
        before = {name: _signature(path) for name, path in paths.items()}
        changed = [name for name, path in paths.items() if file_entry(path) != self.manifest.files[name]]
        if not changed:
            yield
            changed = [name for name, path in paths.items() if _signature(path) != before[name]]
        if changed:
            raise BundleError(f"{paths[changed[0]]}: has changed since the bundle was opened.")

    def read_json(self, name: str) -> Any:
        """A listed JSON file, parsed; of samples it may say the paths.

        Raises:
            BundleError: As :meth:`read_bytes`, or not JSON.
        """
        return parse_json(self.read_bytes(name), str(self.path / name), has_paths=True)


def _signature(path: Path) -> Signature:
    """Raises: BundleError: it is gone."""
    try:
        return Signature.of(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}.") from error


def open_bundle(path: str | os.PathLike[str], verify: bool = True, *, has_bytecode: bool = False) -> Bundle:
    """Open a bundle and refuse one that is damaged, incomplete, padded or of another pair.

    Args:
        path: The bundle's folder.
        verify: Hash every file. Without it names, sizes and the pair id are still checked, and
            :meth:`Bundle.read_bytes` still hashes what it reads.
        has_bytecode: Triton runs this process and may have written bytecode beside its Python files. Everyone else
            refuses that: Python runs it in place of the files that were checked.

    Raises:
        BundleError: The message names each file at fault.
    """
    root = Path(path)
    try:
        if not root.is_dir():
            raise BundleError(f"{root}: is not a bundle: {'not a folder' if root.exists() else 'no such folder'}.")
        bundle = Bundle(root, read_manifest(root))
        _refuse(root, _listing_faults(root, bundle.manifest, has_bytecode))
        _refuse(root, _hash_faults(root, bundle.manifest) if verify else [])
    except (OSError, ValueError) as error:
        raise BundleError(f"{str(root)!r}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    _check_pair(bundle)
    return bundle


def open_part(path: str | os.PathLike[str]) -> Bundle:
    """Open a copy of some of a bundle's files: the manifest, the contract, and what else its user needs.

    Other files beside them are left out of account; files that are used are hashed when they are read.

    Args:
        path: Folder of the copy; every file has the place that it has in the bundle.

    Raises:
        BundleError: No manifest or contract, or not those of one pair.
    """
    root = Path(path)
    try:
        manifest = read_manifest(root)
        absent = frozenset(name for name in manifest.files if not (root / name).is_file())
    except (OSError, ValueError) as error:
        raise BundleError(f"{str(root)!r}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    part = Bundle(root, manifest, absent)
    _check_pair(part)
    return part


def _listing_faults(root: Path, manifest: Manifest, has_bytecode: bool) -> list[str]:
    """Files that are missing, extra or of another size."""
    sizes = _file_sizes(root, has_bytecode)
    faults = [f"{name} is missing" for name in sorted(manifest.files.keys() - sizes.keys())]
    extra = sorted(sizes.keys() - manifest.files.keys())
    faults += [f"{name} is not listed in {MANIFEST}{_advice(name)}" for name in extra]
    for name in sorted(manifest.files.keys() & sizes.keys()):
        expected = manifest.files[name].bytes
        if sizes[name] != expected:
            faults.append(f"{name} has {sizes[name]} bytes, expected {expected}")
    return faults


def _advice(name: str) -> str:
    if not is_bytecode_folder(name.rpartition("/")[0]):
        return ""
    return " (Python's bytecode, which runs in place of its file: remove it, and set PYTHONDONTWRITEBYTECODE=1)"


def _file_sizes(root: Path, has_bytecode: bool) -> dict[str, int]:
    """Name to size of every file but the manifest; links, devices and odd names are refused."""
    sizes: dict[str, int] = {}
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(root / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                is_left_out = is_built_folder(name) or (has_bytecode and is_bytecode_folder(name))
                if stat.S_ISDIR(mode) and is_left_out:
                    continue
                if stat.S_ISDIR(mode) and name.count("/") < MAX_DEPTH and len(folders) <= MAX_FILES:
                    folders.append(f"{name}/")
                elif name not in UNLISTED or not stat.S_ISREG(mode):
                    _refuse_odd(root, name, mode)
                    sizes[name] = entry.stat(follow_symlinks=False).st_size
                if len(sizes) > MAX_FILES:
                    raise BundleError(f"{root}: holds more than {MAX_FILES} files.")
    return sizes


def _refuse_odd(root: Path, name: str, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise BundleError(f"{root}: {name!r} is a symbolic link; a bundle holds plain files only.")
    if not stat.S_ISREG(mode):
        raise BundleError(f"{root}: {name!r} is not a plain file.")
    if not is_file_name(name):
        raise BundleError(f"{root}: {name!r} is not a name that a bundle may hold.")


def _hash_faults(root: Path, manifest: Manifest) -> list[str]:
    """Files whose contents are not what the manifest says."""
    faults = []
    for name, expected in sorted(manifest.files.items()):
        actual = file_entry(root / name)
        if actual != expected:
            faults.append(f"{name} has sha256 {actual.sha256[:12]}, expected {expected.sha256[:12]}")
    return faults


def _refuse(root: Path, faults: list[str]) -> None:
    if not faults:
        return
    more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
    raise BundleError(f"{root}: is damaged: {'; '.join(faults[:_SHOWN_FAULTS])}{more}. Build or copy it again.")


def _check_pair(bundle: Bundle) -> None:
    files = bundle.manifest.files
    contract = bundle.read_bytes(CONTRACT)
    actual = pair_id(contract, graph_sha256(files, EDGE_MODEL), graph_sha256(files, CLOUD_MODEL))
    if actual != bundle.pair_id:
        raise BundleError(
            f"{bundle.path}: pair id {bundle.pair_id[:12]} does not belong to its contract and graphs "
            f"({actual[:12]}); the halves were mixed from different builds. Build it again."
        )
