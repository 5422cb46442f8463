"""Weight containers: every encoding gives back every bit, sizes add up, and what is wrong is refused."""

from __future__ import annotations

import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from reference.weight_samples import dense, float32, items, on_grid, opened, packed, rng, sparse

from splitc.errors import BitstreamError, CodecError, UsageError
from splitc.weights import (
    Item,
    Levels,
    Planes,
    Raw,
    Shared,
    WeightTensor,
    container_bytes,
    open_container,
    smallest_items,
)
from splitc.weights.encodings import ENCODINGS


@pytest.mark.parametrize("item", items(), ids=lambda item: item.tensor.name)
def test_every_bit_comes_back(item: Item) -> None:
    (tensor,) = packed(item).tensors()
    assert (tensor.name, tensor.dtype, tensor.shape) == (item.tensor.name, item.tensor.dtype, item.tensor.shape)
    assert tensor.values.tobytes() == item.tensor.values.tobytes()


def test_a_whole_container_and_its_ledger() -> None:
    data = container_bytes(items())
    container = opened(data)
    assert [tensor.digest for tensor in container.tensors()] == [item.tensor.digest for item in items()]
    assert sum(container.ledger.values()) == len(data)
    assert min(container.ledger[part] for part in ("values", "indices", "codebooks", "tables", "header", "dense")) > 0
    assert container_bytes(items()) == data, "the same items must give the same bytes"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.array([np.nan, np.inf, -0.0, 1e-45], np.float32), id="special-values"),
        pytest.param(np.zeros((0, 3), np.float32), id="empty"),
        pytest.param(np.full((300, 300), 0.25, np.float32), id="constant"),
    ],
)
def test_extreme_tensors_in_their_smallest_encoding(values: np.ndarray) -> None:
    (item,) = smallest_items([float32("x", values)])
    assert next(packed(item).tensors()).values.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16", "int32", "uint8", "bool"])
def test_other_types(dtype: str) -> None:
    stored = {"bfloat16": "uint16"}.get(dtype, dtype)
    tensor = WeightTensor("x", dtype, (100 * dense((30, 40))).astype(np.float32).astype(stored))
    (item,) = smallest_items([tensor])
    assert next(packed(item).tensors()).values.tobytes() == tensor.values.tobytes()


def test_the_encoding_is_found_by_looking() -> None:
    step = float(np.float32(0.013))
    tensors = [
        float32("planes", dense((64, 64))),
        float32("levels", on_grid(100 * dense((200, 200)), step)),
        float32("shared", sparse((64, 64), 0.1, 31)),
        WeightTensor("int8", "int8", (20 * dense((256, 256))).astype(np.int8)),
        float32("small", dense((4,))),
    ]
    assert [item.encoding.name for item in smallest_items(tensors)] == ["planes", "levels", "shared", "levels", "raw"]


def test_levels_cost_less_than_the_entropy_of_the_tensor() -> None:
    """Rows of different sizes are what contexts are for."""
    step = float(np.float32(0.004))
    tensor = float32("w", on_grid(dense((256, 512)), step))
    _, counts = np.unique(tensor.values, return_counts=True)
    share = counts / tensor.values.size
    entropy_bytes = -(share * np.log2(share)).sum() * tensor.values.size / 8
    assert packed(Item(tensor, Levels(step=step))).ledger["values"] < 0.92 * entropy_bytes


def test_row_exponents() -> None:
    exponents = tuple(int(e) for e in np.random.default_rng(0).integers(0, 20, 12))
    roots = np.array([1.0, 2**0.25, 2**0.5, 2**0.75], np.float32)
    steps = [np.ldexp(np.float32(0.01) * roots[e % 4], e // 4) for e in exponents]
    levels = np.random.default_rng(1).integers(-9, 10, (12, 30)).astype(np.float32)
    tensor = float32("w", levels * np.array(steps, np.float32)[:, None])
    item = Item(tensor, Levels(step=float(np.float32(0.01)), row_exponents=exponents))
    assert next(packed(item).tensors()).digest == tensor.digest


def test_large_levels_pass_as_escapes() -> None:
    levels = np.zeros((100, 200), np.float32)
    levels[3, 5], levels[50, 0], levels[99, 199] = 4000, -128, 2**24
    item = Item(float32("w", levels), Levels(step=1.0))
    assert next(packed(item).tensors()).digest == item.tensor.digest


@pytest.mark.parametrize(
    ("item", "message"),
    [
        pytest.param(Item(float32("w", dense((3, 4))), Levels(step=0.1)), "does not lie on the grid", id="off-grid"),
        pytest.param(
            Item(float32("w", dense((30, 40))), Shared()), "has 1200 distinct values, 8 bits hold 256", id="codebook"
        ),
        pytest.param(
            Item(WeightTensor("w", "int64", np.arange(4)), Levels()), r"int64 \[4\]; it has no levels", id="type"
        ),
    ],
)
def test_what_an_encoding_cannot_hold_is_refused(item: Item, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        container_bytes([item])


def test_two_tensors_of_one_name() -> None:
    with pytest.raises(CodecError, match="two tensors have the same name"):
        container_bytes([Item(float32("w", dense((2, 2))), Raw())] * 2)


def test_a_lower_limit_is_kept() -> None:
    container = open_container(opened(container_bytes(items())).file, max_elements=100)
    with pytest.raises(BitstreamError, match=r"tensor 'conv' has 432 elements, at most 100 are allowed"):
        list(container.tensors())


def test_not_a_container(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\x03\x04" * 10)
    with pytest.raises(BitstreamError, match=r"Magic at offset 0 is not 'SCWT'; this is no weight container"):
        open_container(tmp_path / "x")
    with pytest.raises(UsageError, match="cannot be read"):
        open_container(tmp_path / "absent")


def test_planes_beat_the_bytes() -> None:
    tensor = float32("w", dense((256, 256)))
    assert sum(packed(Item(tensor, Planes())).ledger.values()) < 0.87 * tensor.nbytes


def test_every_encoding_is_what_the_registry_says() -> None:
    loaded = {name: ENCODINGS.load(name) for name in ENCODINGS}
    assert [one.name for one in loaded.values()] == list(loaded)
    assert len({one.wire_id for one in loaded.values()}) == len(loaded)


def test_lines_longer_than_a_length_field_are_packed() -> None:
    """Few values, many to a line: no sparse line holds them."""
    values = np.sign(rng(4).standard_normal((2, 70_000))).astype(np.float32)
    values[0, 0] = 0
    tensor = WeightTensor("w", "float32", values)
    (item,) = smallest_items([tensor])
    (got,) = packed(item).tensors()
    assert got.values.tobytes() == values.tobytes()
    assert len(container_bytes([item])) < values.size / 7  # a bit a value, and what describes it


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("least", [2.0**-24, 2.0**-20, 2.0**-18])
def test_a_grid_that_is_too_fine_for_its_range_is_no_grid(dtype: str, least: float) -> None:
    """Every float16 lies on the grid of the least one; levels take no more than 16 low bits."""
    values = rng(3).integers(1 << 6, 1 << 10, 4096).astype(np.float64) / 512
    values[0] = least
    tensor = WeightTensor("w", dtype, values.astype(dtype).reshape(64, 64))
    (item,) = smallest_items([tensor])
    assert next(packed(item).tensors()).values.tobytes() == tensor.values.tobytes()


def test_a_long_row_takes_time_in_proportion_to_its_length() -> None:
    """Every chunk of a row once computed the classes of all of it: 8 times the length took 40 times as long."""

    def seconds(columns: int) -> float:
        values = np.random.default_rng(0).integers(-3, 4, (1, columns)).astype(np.float32)
        item = Item(WeightTensor("w", "float32", values), Levels(step=1.0))
        opened = open_container(BytesIO(container_bytes([item])))
        start = time.process_time()
        (tensor,) = opened.tensors()
        assert np.array_equal(tensor.values, values)
        return time.process_time() - start

    seconds(1 << 18)
    assert seconds(1 << 22) < 32 * max(seconds(1 << 19), 0.02)  # 8 in theory; other processes share the caches


def test_values_too_small_to_be_parted_are_no_grid() -> None:
    tensor = WeightTensor("w", "float32", np.array([1e-45, 2.0, 3.0] * 40, np.float32))
    (item,) = smallest_items([tensor])
    assert next(packed(item).tensors()).values.tobytes() == tensor.values.tobytes()
