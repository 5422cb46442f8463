"""Features in NumPy files, for ``splitc encode`` and ``decode``: read with checks, written whole or not at all."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from splitc.errors import UsageError
from splitc.files import open_plain, require_memory, write_file
from splitc.runtime import array_headers, natural_key
from splitc.types import F32, Array, Layout, Shape, TensorSpec

FEATURE = "feature"
"""Name of the tensor in an ``.npy``."""


@dataclass(frozen=True)
class FrameAxes:
    """Which axes of the arrays count frames and channels.

    Attributes:
        batch, channel: Of every array; negative ones count from the end.
        layouts: Of tensors that a codec knows already, by name; they go first.
    """

    batch: int = 0
    channel: int = 1
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    def layout(self, file: Path, name: str, array: Array) -> Layout:
        """Of one array.

        Raises:
            UsageError: The array has no such axes.
        """
        rank = array.ndim
        axes = [axis + rank if axis < 0 else axis for axis in (self.batch, self.channel)]
        known = self.layouts.get(name)
        if known is not None:
            return known
        if min(axes) < 0:
            fault = f"axis {min(axes) - rank} is not one of the {rank} axes of {list(array.shape)}"
        else:
            found = Layout(batch_axis=axes[0], channel_axis=axes[1])
            fault = found.fault(array.shape) or ""
        if fault:
            raise UsageError(f"{file}: {name!r}: {fault}; see --batch-axis and --channel-axis.")
        return found


USUAL_AXES = FrameAxes()
"""``[frames, channels, ...]``."""


def frames_of(clip: Mapping[str, F32], layouts: Sequence[Layout]) -> list[list[F32]]:
    """The arrays of one frame after the other."""
    apart = []
    for array, layout in zip(clip.values(), layouts, strict=True):
        axis = layout.batch_axis
        apart.append([array] if axis is None else np.split(array, array.shape[axis], axis))
    return [list(frame) for frame in zip(*apart, strict=True)]


def clip_files(paths: Sequence[Path]) -> list[Path]:
    """The paths in their order, folders replaced by what they hold: ``clip2`` before ``clip10``.

    Raises:
        UsageError: A folder without ``.npy`` and ``.npz``.
    """
    return [file for path in paths for file in (_in_folder(path) if path.is_dir() else [path])]


def _in_folder(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.suffix.lower() in (".npy", ".npz") and file.is_file()]
    if not files:
        raise UsageError(f"{folder}: a folder without .npy and .npz files; name one that holds features.")
    return sorted(files, key=natural_key)


def read_clip(file: Path, names: Sequence[str] | None = None, axes: FrameAxes = USUAL_AXES) -> dict[str, F32]:
    """The frames of one file: float32 by tensor name, ``[frames, C, ...]`` unless ``axes`` say otherwise.

    Args:
        file: An ``.npy``, or an ``.npz`` with one array a tensor.
        names: The tensors wanted, in order; None takes the file's, sorted. A single one may come as an ``.npy``.
        axes: Which axes count frames and channels.

    Raises:
        UsageError: Not readable, other tensors, not float, no frames, or a different number of frames each.
    """
    arrays = _load(file, names[0] if names and len(names) == 1 else FEATURE)
    wanted = sorted(arrays) if names is None else list(names)
    if set(wanted) != set(arrays):
        raise UsageError(f"{file}: holds {sorted(arrays)}, the codec is of {wanted}.")
    counts = set()
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.ndim < 2 or array.size == 0:
            raise UsageError(
                f"{file}: {name!r} is {array.dtype} {list(array.shape)}, must be float [frames, channels, ...]."
            )
        axis = axes.layout(file, name, array).batch_axis
        counts.add(1 if axis is None else array.shape[axis])
    if len(counts) != 1:
        where = f" (axis {axes.batch})" if not axes.layouts else ""
        raise UsageError(f"{file}: the arrays disagree on the number of frames{where}.")
    return {name: arrays[name].astype(np.float32) for name in wanted}


def specs_of(
    clips: Sequence[tuple[Path, Mapping[str, F32]]], axes: FrameAxes = USUAL_AXES
) -> tuple[list[TensorSpec], list[Layout]]:
    """What the tensors are and how their axes lie, from files that agree.

    Raises:
        UsageError: A file whose tensors are not the first one's, in name or in size.
    """
    first_file, first = clips[0]
    layouts = [axes.layout(first_file, name, array) for name, array in first.items()]
    shapes = {name: _sizes(array, layout) for (name, array), layout in zip(first.items(), layouts, strict=True)}
    for file, clip in clips[1:]:
        for (name, shape), layout in zip(shapes.items(), layouts, strict=True):
            if name not in clip:
                raise UsageError(
                    f"{file}: holds {sorted(clip)}, {first_file} holds {sorted(shapes)}; name files alike."
                )
            if (sizes := _sizes(clip[name], layout)) != shape:
                raise UsageError(
                    f"{file}: {name!r} is {list(sizes)}, in {first_file} it is {list(shape)}; a codec that is fitted "
                    "here has one size: encode each size by itself, or with a --bundle whose size is dynamic."
                )
    return [TensorSpec(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()], layouts


def _sizes(array: Array, layout: Layout) -> Shape:
    """Of one frame, with a name for how many there are."""
    return tuple("N" if axis == layout.batch_axis else size for axis, size in enumerate(array.shape))


def joined_frames(
    frames: Mapping[str, Sequence[F32]], layouts: Sequence[Layout], as_pieces: bool
) -> dict[str, F32] | None:
    """The frames of each tensor side by side; where it has no axis for them, along a new one in front.

    Args:
        frames: By tensor name, one array a frame; as many of each.
        layouts: Of each tensor.
        as_pieces: Where sizes change from frame to frame: one array for each run of frames of one size, called
            ``NAME#0``, ``NAME#1`` ...

    Returns:
        By name; None where sizes change and ``as_pieces`` does not hold.
    """
    axes = {name: layout.batch_axis for name, layout in zip(frames, layouts, strict=True)}
    every = zip(*frames.values(), strict=True)
    sizes = [[_other_sizes(x, axis) for x, axis in zip(frame, axes.values(), strict=True)] for frame in every]
    starts = [index for index, one in enumerate(sizes) if index == 0 or one != sizes[index - 1]]
    if len(starts) == 1:
        return {name: _joined(rows, axes[name]) for name, rows in frames.items()}
    if not as_pieces:
        return None
    runs = list(zip(starts, [*starts[1:], len(sizes)], strict=True))
    return {
        f"{name}#{number}": _joined(rows[start:end], axes[name])
        for name, rows in frames.items()
        for number, (start, end) in enumerate(runs)
    }


def _other_sizes(array: Array, axis: int | None) -> tuple[int, ...]:
    return tuple(size for one, size in enumerate(array.shape) if one != axis)


def _joined(frames: Sequence[F32], axis: int | None) -> F32:
    return np.stack(frames) if axis is None else np.concatenate(frames, axis)


def write_features(out: Path, tensors: Mapping[str, F32]) -> None:
    """One tensor as ``.npy``, several as ``.npz``.

    Raises:
        UsageError: The file's name ends otherwise, or it cannot be written.
    """
    if out.suffix == ".npz":
        arrays: dict[str, Any] = dict(tensors)
        write_file(out, lambda file: write_npz(file, arrays.items()))
        return
    if len(tensors) != 1 or out.suffix != ".npy":
        kind = "an .npy" if len(tensors) == 1 else f"an .npz, all {len(tensors)} tensors"
        raise UsageError(f"{out}: the features go into {kind}; name the file so.")
    write_file(out, lambda file: np.save(file, next(iter(tensors.values()))))


def write_npz(file: BinaryIO, arrays: Iterable[tuple[str, Array]]) -> None:
    """What ``np.savez`` writes, one array at a time, of any name: it takes one called ``file`` for its argument."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays:
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _load(file: Path, name: str) -> dict[str, Array]:
    if not file.exists():
        raise UsageError(f"{file}: no such file.")
    sizes = (math.prod(shape) * (dtype.itemsize + 4) for shape, dtype in array_headers(file, name).values())
    require_memory(sum(sizes), file.stat().st_size, f"{file}: its features")
    try:
        with open_plain(file) as opened:
            loaded = np.load(opened, allow_pickle=False)
            return {name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(f"{file}: not a readable NumPy file ({error}).") from error
