"""Choose each tensor's encoding from its values: all encodings are lossless, so the smallest is the best."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np

from splitc.errors import CodecError
from splitc.types import Array
from splitc.weights.container import SMALL_BYTES, Item, container_bytes, open_container
from splitc.weights.encodings import Encoding
from splitc.weights.encodings.levels import Levels
from splitc.weights.encodings.planes import Planes
from splitc.weights.encodings.raw import Raw
from splitc.weights.encodings.shared import INDEX_BITS, MAX_LINE, Basis, Shared
from splitc.weights.tensor import WeightTensor

MOST_CODES = 256
MOST_LEVELS = 1 << 16
PARTS_OF_LEAST = (1, 2, 3)
"""The value nearest zero is so many steps away from it, if there are steps."""


def smallest_items(tensors: Iterable[WeightTensor]) -> list[Item]:
    """Every tensor in the encoding that makes it smallest."""
    return [Item(tensor, _smallest(tensor)) for tensor in tensors]


def _smallest(tensor: WeightTensor) -> Encoding:
    if tensor.nbytes <= SMALL_BYTES:
        return Raw()
    options = [*_possible(tensor), Planes()]
    if len(options) == 1:
        return options[0]
    return min(options, key=lambda one: _section_bytes(Item(tensor, one)))


def _section_bytes(item: Item) -> int:
    """Size without the header, whose level tables all tensors of a container share."""
    with open_container(io.BytesIO(container_bytes([item]))) as container:
        return container.header.section_bytes


def _possible(tensor: WeightTensor) -> Iterator[Encoding]:
    """Encodings for tensors of few distinct values that represent this one exactly."""
    if tensor.dtype == "int8":
        yield Levels()
    if tensor.dtype not in ("float32", "float16"):
        return
    distinct = np.unique(tensor.flat)
    if len(distinct) <= MOST_CODES:
        yield Shared(basis=_basis(tensor))
    if len(distinct) <= MOST_LEVELS and (step := grid_step(tensor, distinct)) is not None:
        yield Levels(step=step)


def _basis(tensor: WeightTensor) -> Basis:
    """Sparse where there are zeros, unless a line could store more entries than its length field holds."""
    is_zero = tensor.flat.view(f"u{tensor.flat.itemsize}") == 0
    lines = is_zero.reshape(tensor.shape[0] if tensor.shape else 1, -1)
    most = int((~lines).sum(axis=1).max()) + (lines.shape[1] >> INDEX_BITS)
    return "csr" if is_zero.any() and most <= MAX_LINE else "dense"


def grid_step(tensor: WeightTensor, distinct: Array) -> float | None:
    """The step on whose grid ``tensor`` lies, if there is one; ``distinct`` are its values."""
    sizes = np.abs(distinct[distinct != 0])
    if not sizes.size or not np.isfinite(sizes).all():
        return None
    for parts in PARTS_OF_LEAST:
        step = float(np.float32(sizes.min()) / np.float32(parts))
        if step == 0:  # the least value is among the smallest that float32 has
            return None
        try:
            Levels(step=step).plan(tensor)
        except CodecError:
            continue
        return step
    return None
