"""``manifest.json``: the hashed table of contents, its names and its limits. FORMAT.md §1 to §4."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationError

from splitc.bundle.strict_json import canonical_json, parse_json
from splitc.errors import BundleError
from splitc.files import open_plain, sha256_stream
from splitc.types import Frozen

SCHEMA = 1
MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
CONTRACT = "contract.json"
RECIPE = "recipe.lock.toml"
UNLISTED = (MANIFEST, SIGNATURE)
"""Files that no manifest lists: itself, and what vouches for it."""
EDGE_MODEL = "edge/model.onnx"
CLOUD_MODEL = "cloud/model.onnx"
REQUIRED = (CONTRACT, RECIPE, EDGE_MODEL, CLOUD_MODEL)
"""Files without which a folder is no bundle, beside the manifest."""

MAX_MANIFEST_BYTES = 4 * 2**20
MAX_FILES = 10_000
MAX_FILE_BYTES = 64 * 2**30
MAX_NAME_LENGTH = 240
MAX_DEPTH = 8
MAX_READ_BYTES = 64 * 2**20
"""Largest file that :meth:`Bundle.read_bytes` takes into memory."""
MAX_ENTRIES = 1_000
"""Most tools, and most inputs."""

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+-]{0,119}")


def is_file_name(name: str) -> bool:
    """Whether ``name`` may stand in a bundle: relative, forward slashes, no ``..``, nothing hidden. FORMAT.md §3."""
    parts = name.split("/")
    is_short = len(name) <= MAX_NAME_LENGTH and len(parts) <= MAX_DEPTH
    return is_short and name not in UNLISTED and all(_PART.fullmatch(part) for part in parts)


def is_bytecode_folder(name: str) -> bool:
    """Whether ``name`` is where Python would look for bytecode of a file in the Triton folder. FORMAT.md §5."""
    parts = name.split("/")
    return parts[:2] == ["cloud", "triton"] and parts[-1] == "__pycache__"


def is_built_folder(name: str) -> bool:
    """Whether ``name`` is where a machine keeps what it made of the bundle itself. FORMAT.md §5."""
    parts = name.split("/")
    return len(parts) == 4 and parts[0] in ("edge", "cloud") and parts[1] == "engines" and parts[3] == "built"


def _is_machines(folder: str) -> bool:
    return is_built_folder(folder) or is_bytecode_folder(folder)


def _file_name(name: str) -> str:
    if not is_file_name(name):
        raise ValueError("is not a plain relative file name")
    return name


def _sha256(digest: str) -> str:
    if not _SHA256.fullmatch(digest):
        raise ValueError("is not 64 lower-case hexadecimal digits")
    return digest


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("is not 1 to 120 letters, digits, spaces or ._+- (never a path)")
    return text


Sha256 = Annotated[str, AfterValidator(_sha256)]
Label = Annotated[str, AfterValidator(_label)]
FileName = Annotated[str, AfterValidator(_file_name)]


class FileEntry(Frozen):
    """What one file must be."""

    model_config = ConfigDict(strict=True)

    bytes: int = Field(ge=0, le=MAX_FILE_BYTES)
    sha256: Sha256


class Manifest(Frozen):
    """Every file of a bundle but itself, and where the bundle came from. No clock and no path of a machine in it."""

    model_config = ConfigDict(strict=True)

    schema_version: int = Field(alias="schema", ge=SCHEMA, le=SCHEMA, description="version of FORMAT.md")
    splitc: Label = Field(description="version of splitc that wrote it")
    name: Label = Field(description="name of the recipe")
    pair_id: Sha256 = Field(description="what edge and cloud compare before they talk")
    files: dict[FileName, FileEntry] = Field(max_length=MAX_FILES, description="file name to size and hash")
    tools: dict[Label, Label] = Field(max_length=MAX_ENTRIES, description="tool to version")
    inputs: dict[Label, Sha256] = Field(max_length=MAX_ENTRIES, description="input to hash")

    def to_bytes(self) -> bytes:
        """The file's bytes; equal manifests give equal bytes."""
        return canonical_json(self.model_dump(by_alias=True))


def manifest_from_bytes(data: bytes, where: str) -> Manifest:
    """Check and parse ``manifest.json``.

    Raises:
        BundleError: It is not a manifest, or of a schema that this version does not read.
    """
    table = parse_json(data, where)
    if not isinstance(table, dict) or not {"schema", "pair_id", "files"} <= table.keys():
        raise BundleError(f"{where}: is not the manifest of a splitc bundle.")
    if type(table["schema"]) is int and table["schema"] > SCHEMA:
        newer = str(table["schema"])[:20]
        raise BundleError(f"{where}: schema {newer} is newer than this splitc reads ({SCHEMA}); upgrade splitc.")
    try:
        manifest = Manifest.model_validate(table)
    except ValidationError as error:
        raise BundleError(f"{where}: {_first_fault(error)}.") from None
    if missing := [name for name in REQUIRED if name not in manifest.files]:
        raise BundleError(f"{where}: files does not list {', '.join(missing)}, which every bundle has.")
    for name in manifest.files:
        parts = name.split("/")
        if any(map(_is_machines, ("/".join(parts[:depth]) for depth in range(1, len(parts))))):
            raise BundleError(f"{where}: files lists {name!r}, in a folder that is never part of a bundle.")
    if len({name.casefold() for name in manifest.files}) < len(manifest.files):
        raise BundleError(f"{where}: files holds two names that differ only in case.")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest in ``folder``.

    Raises:
        BundleError: There is none, or it is refused.
    """
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{folder}: is not a bundle: it has no {MANIFEST}.")
    with path.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: is larger than {MAX_MANIFEST_BYTES} bytes.")
    return manifest_from_bytes(data, str(path))


def pair_id(contract: bytes, edge_model_sha256: str, cloud_model_sha256: str) -> str:
    """Identity of two halves that belong together, 64 hex digits. FORMAT.md §4.

    Args:
        contract: Bytes of ``contract.json``.
        edge_model_sha256: :func:`graph_sha256` of the head, hex.
        cloud_model_sha256: :func:`graph_sha256` of the tail, hex.
    """
    digest = hashlib.sha256(b"splitc pair id 1\n")
    digest.update(hashlib.sha256(contract).digest())
    digest.update(bytes.fromhex(edge_model_sha256))
    digest.update(bytes.fromhex(cloud_model_sha256))
    return digest.hexdigest()


def graph_files(files: Iterable[str], model: str) -> list[str]:
    """Names of the files of one half's graph: the model, then its external data, which lies beside it.

    Args:
        files: The manifest's names.
        model: ``edge/model.onnx`` or ``cloud/model.onnx``; ``model.onnx.*`` beside it is its external data.
    """
    return [model, *sorted(name for name in files if name.startswith(f"{model}."))]


def graph_sha256(files: Mapping[str, FileEntry], model: str) -> str:
    """Hash of one half's graph: of the model file alone, or of it and its external data files together.

    Args:
        files: The manifest's.
        model: As of :func:`graph_files`.
    """
    names = graph_files(files, model)
    if names == [model]:
        return files[model].sha256
    digest = hashlib.sha256(b"splitc graph 1\n")
    for name in names:
        digest.update(f"{files[name].sha256} {name.rpartition('/')[2]}\n".encode("ascii"))
    return digest.hexdigest()


def file_entry(path: Path) -> FileEntry:
    """Size and hash of a file, read once in blocks."""
    with open_plain(path, BundleError) as file:
        return FileEntry(sha256=sha256_stream(file), bytes=file.tell())


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part)[:60] for part in fault["loc"] if part != "[key]")
    value = fault["input"] if isinstance(fault["input"], (str, int, float)) else type(fault["input"]).__name__
    words = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"].lower()
    return f"{place!r} {words}, got {str(value)[:60]!r}"
