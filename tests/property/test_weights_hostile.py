"""Ten thousand damaged containers and deltas: a clear error, never a wrong tensor, nothing half applied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from reference.weight_samples import items, opened, rng

from splitc.errors import BitstreamError
from splitc.weights import Container, Item, WeightTensor, container_bytes, delta_bytes, merged, open_container
from splitc.weights.header import PREFIX_BYTES

AMOUNTS = [pytest.param(250, id="few"), pytest.param(2_500, id="many", marks=pytest.mark.slow)]
"""Mutations of containers and of deltas, each with the header's hash left wrong and made right: 10,000 in all."""


def mutated(data: bytes, other: bytes, source: np.random.Generator) -> bytes:
    """Truncate, flip bits, overwrite, extend or splice."""
    at, kind = int(source.integers(0, len(data))), int(source.integers(0, 5))
    if kind == 0:
        return data[:at]
    if kind == 1:
        flipped = bytearray(data)
        for _ in range(int(source.integers(1, 4))):
            flipped[int(source.integers(0, len(data)))] ^= 1 << int(source.integers(0, 8))
        return bytes(flipped)
    if kind == 2:
        junk = source.integers(0, 256, int(source.integers(1, 9)), np.uint8).tobytes()
        return data[:at] + junk + data[at + len(junk) :]
    if kind == 3:
        return data + source.integers(0, 256, int(source.integers(1, 9)), np.uint8).tobytes()
    return data[:at] + other[int(source.integers(0, len(other))) :]


def resealed(data: bytes) -> bytes:
    """With the header's hash made right again, as an attacker would."""
    end = PREFIX_BYTES + int.from_bytes(data[6:10], "little")
    return data[:end] + hashlib.sha256(data[:end]).digest() + data[end + 32 :] if end + 32 <= len(data) else data


def changed(item: Item) -> Item:
    """The same kind of tensor with its rows in another order."""
    values = item.tensor.values
    turned = np.ascontiguousarray(values[::-1]) if values.ndim else values
    return Item(WeightTensor(item.tensor.name, item.tensor.dtype, turned), item.encoding)


BASE = container_bytes(items())
TARGET = container_bytes([changed(item) for item in items()])
DELTA = delta_bytes(opened(BASE), opened(TARGET))


def outcome(read: Callable[[Container], object], data: bytes) -> object:
    """What comes out, or None where it is refused with a message that says where it comes from."""
    try:
        return read(open_container(BytesIO(data), 10**6))
    except BitstreamError as error:
        if not str(error).startswith("weights: "):
            raise AssertionError(f"unclear: {error}") from error
        return None


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("seal", [bytes, resealed], ids=["accident", "attack"])
def test_damaged_containers(amount: int, seal: Callable[[bytes], bytes]) -> None:
    source, whole = rng(1), {tensor.digest for tensor in opened(BASE).tensors()}
    for _ in range(amount):
        data = seal(mutated(BASE, TARGET, source))
        found = outcome(lambda one: {tensor.digest for tensor in one.tensors()}, data)
        assert found is None or found <= whole


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("seal", [bytes, resealed], ids=["accident", "attack"])
def test_damaged_deltas(amount: int, seal: Callable[[bytes], bytes]) -> None:
    source = rng(2)
    for _ in range(amount):
        made = outcome(lambda one: merged(opened(BASE), one), seal(mutated(DELTA, BASE, source)))
        assert made in (None, TARGET), "a damaged delta made something else"


@pytest.mark.parametrize("item", items(), ids=lambda item: item.tensor.name)
def test_damage_behind_right_hashes_cannot_crash(item: Item) -> None:
    """Decoders see the garbage itself: only the tensor's own hash is left to catch it."""
    data = container_bytes([item])
    head = PREFIX_BYTES + int.from_bytes(data[6:10], "little") + 32
    source = rng(3)
    for _ in range(300):
        hostile = bytearray(data)
        for _ in range(int(source.integers(1, 5))):
            hostile[int(source.integers(head, len(data)))] = int(source.integers(0, 256))
        try:
            (tensor,) = opened(bytes(hostile)).tensors()
        except BitstreamError:
            continue
        assert tensor.digest == item.tensor.digest


def test_declared_sizes_are_checked_before_allocation() -> None:
    """A few bytes of shape must not cost gigabytes."""
    data = bytearray(container_bytes([items()[3]]))
    at = data.index(b"grid") + 4
    assert data[at : at + 5] == bytes([1, 2, 40, 0xAC, 0x02])  # float32, two axes: 40 and 300 as varints
    data[at + 2] = 127
    with pytest.raises(BitstreamError, match="tensor 'grid' has 38100 elements, at most 20000 are allowed"):
        list(open_container(BytesIO(resealed(bytes(data))), 20_000).tensors())
