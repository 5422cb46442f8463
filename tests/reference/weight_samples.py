"""Tensors that look like trained weights, in every encoding."""

from __future__ import annotations

import io

import numpy as np

from splitc.types import Array
from splitc.weights import Container, Item, Levels, Planes, Raw, Shared, WeightTensor, container_bytes, open_container


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dense(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Gaussian rows of different sizes, float32."""
    source = rng(seed)
    rows = source.lognormal(-3, 1, (shape[0],) + (1,) * (len(shape) - 1))
    return (rows * source.standard_normal(shape)).astype(np.float32)


def on_grid(values: Array, step: float) -> Array:
    """float32 integers times the step."""
    return np.rint(values / step).astype(np.int32).astype(np.float32) * np.float32(step)


def sparse(shape: tuple[int, ...], keep: float, values: int, seed: int = 0) -> Array:
    """A share ``keep`` of few distinct values, the others zero."""
    source = rng(seed)
    codebook = source.standard_normal(values).astype(np.float32)
    return np.where(source.random(shape) < keep, codebook[source.integers(0, values, shape)], np.float32(0))


def float32(name: str, values: Array) -> WeightTensor:
    return WeightTensor(name, "float32", np.ascontiguousarray(values, np.float32))


def items() -> list[Item]:
    """One tensor or two in each encoding that needs no base."""
    step = 0.0078125
    half = dense((6, 5, 3, 3), 4).astype(np.float16)
    return [
        Item(float32("bias", dense((7,))), Raw()),
        Item(float32("conv", dense((8, 6, 3, 3), 1)), Planes()),
        Item(WeightTensor("half", "float16", half), Planes()),
        Item(float32("grid", on_grid(dense((40, 300), 2), step)), Levels(step=step)),
        Item(float32("fine", on_grid(dense((5, 31), 3), 2.0**-20)), Levels(step=2.0**-20)),
        Item(WeightTensor("int8", "int8", rng(5).integers(-128, 128, (9, 4, 3, 3)).astype(np.int8)), Levels()),
        Item(float32("pruned", sparse((24, 90), 0.1, 31, 6)), Shared(code_bits=5, index_bits=5)),
        Item(float32("columns", sparse((24, 90), 0.1, 200, 7)), Shared(basis="csc", index_bits=4)),
        Item(float32("codes", sparse((10, 60), 1.0, 32, 8)), Shared(basis="dense", code_bits=5, coder="rans")),
        Item(WeightTensor("shape", "int64", np.array([1, -1, 64], np.int64)), Raw()),
        Item(WeightTensor("scalar", "float32", np.array(3.5, np.float32)), Raw()),
    ]


def opened(data: bytes) -> Container:
    return open_container(io.BytesIO(data))


def packed(*tensors: Item) -> Container:
    return opened(container_bytes(tensors))
