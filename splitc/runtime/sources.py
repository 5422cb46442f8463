"""Find inputs and turn them into the network's feeds: pictures, videos, or arrays already in the network's form."""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from splitc.errors import UsageError
from splitc.files import sha256_of
from splitc.runtime.video import VIDEOS, is_video, read_frames
from splitc.types import F32, Array, Preprocess, TensorSpec

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".gif"}
ARRAYS = {".npy", ".npz"}
KNOWN = PICTURES | ARRAYS | VIDEOS
PACKAGE = "package:"
MAX_PIXELS = 1 << 27
"""Of a resized picture, where Pillow's own limit is switched off."""
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Sample:
    """One inference.

    Attributes:
        name: For people.
        feeds: Arrays by input name, batch 1.
        clip: Samples in a row with equal clips are consecutive frames: those of one array file, and the pictures of
            one folder in the order of their names.
        file: Where it comes from; None where it was made in memory.
    """

    name: str
    feeds: dict[str, Array]
    clip: str = ""
    file: Path | None = None


@dataclass(frozen=True)
class Reader:
    """How files become feeds.

    Attributes:
        inputs: The network's inputs.
        preprocess: For pictures; arrays are taken as they are.
        regions: Square regions taken from each picture: the whole picture first, then smaller ones spread over it.
    """

    inputs: Sequence[TensorSpec]
    preprocess: Preprocess
    regions: int = 1

    def samples(self, files: Sequence[Path]) -> Iterator[Sample]:
        """Read files one by one.

        Raises:
            UsageError: A file that is neither picture nor array, or does not fit the network's inputs.
        """
        for file in files:
            if is_video(file):
                yield from (replace(sample, file=file) for sample in self.frames(str(file)))
            else:
                yield from self._arrays(file) if file.suffix.lower() in ARRAYS else self._pictures(file)

    def frames(self, source: str) -> Iterator[Sample]:
        """Frames of a video file, a camera or a stream, which are one clip.

        Raises:
            UsageError: No readable video, or frames that do not fit the network's input.
            CapabilityError: PyAV is missing.
        """
        self._require_one_input(source)
        for index, picture in enumerate(read_frames(source)):
            batch = input_from_picture(picture, self.preprocess)[None]
            if index == 0:
                _check_fits(source, batch, self.inputs[0])
            name = f"{Path(source).name}#{index}"
            yield Sample(name, {self.inputs[0].name: batch}, source)

    def _require_one_input(self, file: Path | str) -> None:
        if len(self.inputs) != 1:
            names = ", ".join(spec.name for spec in self.inputs)
            raise UsageError(
                f"{file}: the network has {len(self.inputs)} inputs ({names}); give an .npz with those names."
            )

    def _pictures(self, file: Path) -> Iterator[Sample]:
        self._require_one_input(file)
        picture = read_picture(file)
        for index, box in enumerate(region_boxes(picture.width, picture.height, self.regions)):
            region = picture if index == 0 else picture.crop(box)
            batch = input_from_picture(region, self.preprocess)[None]
            _check_fits(file, batch, self.inputs[0])
            name = file.name if self.regions == 1 else f"{file.name}#{index}"
            yield Sample(name, {self.inputs[0].name: batch}, str(file.parent), file)

    def _arrays(self, file: Path) -> Iterator[Sample]:
        arrays = _load_arrays(file, self.inputs)
        count = {len(array) for array in arrays.values()}
        if len(count) != 1:
            raise UsageError(f"{file}: the arrays disagree on the number of samples (axis 0).")
        if count == {0}:
            raise UsageError(f"{file}: holds no samples (axis 0 has size 0).")
        for index in range(count.pop()):
            feeds = {name: array[index : index + 1] for name, array in arrays.items()}
            yield Sample(f"{file.name}#{index}", feeds, str(file), file)


def find_files(patterns: Sequence[str], base: Path) -> list[Path]:
    """Files that the patterns name, each once: pattern by pattern, within one in the order of their numbers.

    A pattern is a file, a folder, a glob relative to ``base``, or ``package:NAME/glob`` inside an installed package.

    Raises:
        UsageError: A pattern matches nothing readable.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        matches = [path for path in _expand(pattern, base) if path.suffix.lower() in KNOWN]
        if not matches:
            raise UsageError(f"{pattern}: no picture, array or video found (known: {', '.join(sorted(KNOWN))}).")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def natural_key(path: Path) -> tuple[list[list[str | int]], str]:
    """Sorts paths as people count: ``frame2`` before ``frame10``."""
    parts = (re.split(r"([0-9]+)", part) for part in path.parts)  # text and digits in turn
    return [[int(run) if index % 2 else run for index, run in enumerate(runs)] for runs in parts], str(path)


def files_sha256(files: Sequence[Path]) -> str:
    """Hash of the hashes of files, in their order; names play no part. They are read in blocks.

    Raises:
        UsageError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(bytes.fromhex(sha256_of(file)))
        except OSError as error:
            raise UsageError(f"{file}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def is_picture(file: Path) -> bool:
    """Whether the file's name ends as a picture's does."""
    return file.suffix.lower() in PICTURES


def read_picture(file: Path) -> Image.Image:
    """Read a picture as RGB.

    Raises:
        UsageError: Not there, not a picture, or larger than Pillow's limit.
    """
    try:
        with Image.open(file) as picture:
            rgb: Image.Image = picture.convert("RGB")
            return rgb
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file.") from None
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise UsageError(f"{file}: not a readable picture ({error}).") from error


def input_from_picture(picture: Image.Image, how: Preprocess) -> F32:
    """Resize, crop, scale and normalize.

    Returns:
        float32 ``[3, H, W]``.

    Raises:
        UsageError: The crop is larger than the resized picture, or that is larger than Pillow's limit.
    """
    if how.resize is not None:
        picture = picture.resize(_resized(picture, how.resize), RESAMPLING[how.interpolation])
    if how.crop is not None:
        picture = _centre_crop(picture, how.crop)
    rgb = np.asarray(picture, dtype=np.float32)
    pixels = rgb if how.channels == "rgb" else rgb[..., ::-1]
    normal = (pixels * np.float32(how.scale) - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def region_boxes(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """The whole picture, then ``count - 1`` squares of 1/2 to 3/4 of its shorter side, spread by a Halton sequence."""
    boxes = [(0, 0, width, height)]
    for index in range(1, count):
        side = max(1, int(min(width, height) * (0.5 + 0.25 * _halton(index, 5))))
        left, top = int(_halton(index, 2) * (width - side)), int(_halton(index, 3) * (height - side))
        boxes.append((left, top, left + side, top + side))
    return boxes


def _expand(pattern: str, base: Path) -> list[Path]:
    if pattern.startswith(PACKAGE):
        name, _, inner = pattern[len(PACKAGE) :].partition("/")
        base, pattern = _package_folder(name), inner
    path = Path(pattern) if Path(pattern).is_absolute() else base / pattern
    if path.is_file():  # its name may hold [ or *
        return [path]
    matches = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path), recursive=True))
    return sorted((match for match in matches if not match.is_dir()), key=natural_key)


def _package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise UsageError(f"{PACKAGE}{name}: no such package is installed; pip install it, or name files instead.")
    return Path(found.submodule_search_locations[0])


def _load_arrays(file: Path, inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    try:
        loaded = np.load(file, allow_pickle=False)
        arrays = {inputs[0].name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{file}: not a readable NumPy file ({error}).") from error
    wanted = {spec.name for spec in inputs}
    if set(arrays) != wanted:
        raise UsageError(f"{file}: holds {sorted(arrays)}, the network's inputs are {sorted(wanted)}.")
    for spec in inputs:
        arrays[spec.name] = _as_batch(file, arrays[spec.name], spec)
        if arrays[spec.name].dtype.kind == "f" and not np.isfinite(arrays[spec.name]).all():
            raise UsageError(f"{file}: {spec.name!r} holds NaN or infinities.")
    return arrays


def _as_batch(file: Path, array: Array, spec: TensorSpec) -> Array:
    batch = array[None] if array.ndim == len(spec.shape) - 1 else array
    _check_fits(file, batch[:1] if batch.ndim else batch, spec)
    return batch


def _check_fits(file: Path | str, batch: Array, spec: TensorSpec) -> None:
    fits = batch.ndim == len(spec.shape) > 0 and all(
        isinstance(want, str) or axis == 0 or got == want
        for axis, (got, want) in enumerate(zip(batch.shape, spec.shape, strict=False))
    )
    if not fits or batch.dtype != np.dtype(spec.dtype):
        want = f"{spec.dtype} {list(spec.shape)}"
        raise UsageError(
            f"{file}: gives {batch.dtype} {list(batch.shape)}, input {spec.name!r} takes {want}; see data.preprocess."
        )


def _resized(picture: Image.Image, size: int | tuple[int, int]) -> tuple[int, int]:
    """Width and height to resize to."""
    return _shorter_side(picture, size) if isinstance(size, int) else (size[1], size[0])


def _shorter_side(picture: Image.Image, side: int) -> tuple[int, int]:
    scale = side / min(picture.size)
    width, height = (max(side, round(size * scale)) for size in picture.size)
    if width * height > (Image.MAX_IMAGE_PIXELS or MAX_PIXELS):
        shape = f"{picture.width}x{picture.height}"
        raise UsageError(f"a picture of {shape} is too long to resize: its shorter side becomes {side}; cut it first.")
    return width, height


def _centre_crop(picture: Image.Image, side: int) -> Image.Image:
    if min(picture.size) < side:
        raise UsageError(
            f"a picture of {picture.width}x{picture.height} is smaller than the crop of {side}; set resize."
        )
    left, top = round((picture.width - side) / 2), round((picture.height - side) / 2)
    return picture.crop((left, top, left + side, top + side))


def _halton(index: int, base: int) -> float:
    """Element of the van der Corput sequence: spreads points evenly without a random number."""
    value, weight = 0.0, 1.0
    while index:
        weight /= base
        index, digit = divmod(index, base)
        value += digit * weight
    return value
