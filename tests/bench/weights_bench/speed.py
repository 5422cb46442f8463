"""How fast levels are coded, and how small an update is. CPU time of all threads that work on it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from codec_bench.clock import median_seconds, timed

from splitc.native import _core
from splitc.weights import Item, Levels, Raw, WeightTensor, container_bytes, delta_bytes, merged, open_container
from splitc.weights.encodings.levels import CHUNK
from splitc.weights.level_tables import CONTEXTS, TOKENS, frequencies_of

STEP_SHARE = 0.15
"""Step of a layer in standard deviations of its weights: about 4.7 bits a weight."""
CHANGED = 0.01
SEED = 3
REPEATS = 3
"""Of whole containers."""


@dataclass(frozen=True)
class SpeedRow:
    """Million weights a second of CPU time, as one core would do."""

    network: str
    operation: str
    mweights: float
    section: str = "speed"


@dataclass(frozen=True)
class DeltaRow:
    """An update in which a share of the weights moved to a neighbouring level."""

    network: str
    changed: float
    base_bytes: int
    delta_bytes: int
    ratio: float
    section: str = "delta"


def items_of(tensors: list[WeightTensor], changed: float) -> list[Item]:
    """Weights rounded to steps; a share of them moved by one or two steps."""
    source, items = np.random.default_rng(SEED), []
    for tensor in tensors:
        if tensor.dtype != "float32" or tensor.values.ndim < 2:
            items.append(Item(tensor, Raw()))
            continue
        step = np.float32(tensor.values.std() * STEP_SHARE)
        moves = source.choice([-2, -1, 1, 2], tensor.values.shape) * (source.random(tensor.values.shape) < changed)
        levels = (np.rint(tensor.values / step) + moves).astype(np.int32).astype(np.float32)
        items.append(Item(WeightTensor(tensor.name, "float32", levels * step), Levels(step=float(step))))
    return items


def rows(network: str, tensors: list[WeightTensor]) -> Iterator[SpeedRow | DeltaRow]:
    """Speeds on the largest tensor and on the whole container, then a delta of one percent."""
    items = items_of(tensors, 0.0)
    yield from _native(network, max((one for one in items if one.encoding.name == "levels"), key=_size))
    data = container_bytes(items)
    count = sum(tensor.values.size for tensor in tensors)
    pack = _cpu_seconds(lambda: container_bytes(items))
    unpack = _cpu_seconds(lambda: list(open_container(io.BytesIO(data)).tensors()))
    yield SpeedRow(network, "container, classes, tables and hashes included: encode", count / pack / 1e6)
    yield SpeedRow(network, "container, SHA-256 of every tensor included: decode", count / unpack / 1e6)
    target = container_bytes(items_of(tensors, CHANGED))
    delta = delta_bytes(open_container(io.BytesIO(data)), open_container(io.BytesIO(target)))
    assert merged(open_container(io.BytesIO(data)), open_container(io.BytesIO(delta))) == target
    yield DeltaRow(network, CHANGED, len(data), len(delta), len(delta) / len(data))


def _cpu_seconds(work: Callable[[], object]) -> float:
    """Of all threads: chunks of a container are coded side by side."""
    return median(timed(work)[1] for _ in range(REPEATS))


def _size(item: Item) -> int:
    return item.tensor.values.size


def _native(network: str, item: Item) -> Iterator[SpeedRow]:
    """Levels to bytes and bytes to float32, chunk by chunk."""
    assert isinstance(item.encoding, Levels)
    plan = item.encoding.plan(item.tensor)
    counts = _core.scw_count(plan.levels, *plan.classes, 0, CONTEXTS).reshape(CONTEXTS, TOKENS)
    tables, steps = _core.ScwTables(frequencies_of(counts)), np.full(len(plan.classes.outer), item.encoding.step, "f4")
    firsts = list(range(0, len(plan.levels), CHUNK))
    out = np.empty(len(plan.levels), np.float32)

    def encode() -> list[bytes]:
        return [tables.encode(plan.levels[first : first + CHUNK], *plan.classes, first) for first in firsts]

    payloads = encode()

    def decode() -> None:
        for first, payload in zip(firsts, payloads, strict=True):
            tables.decode_values(payload, *plan.classes, first, steps, out[first : first + CHUNK])

    yield SpeedRow(network, "levels to bytes", len(plan.levels) / median_seconds(encode) / 1e6)
    yield SpeedRow(network, "bytes to float32", len(plan.levels) / median_seconds(decode) / 1e6)
