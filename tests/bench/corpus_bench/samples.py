"""Seeded inputs that fit a model of the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from corpus_bench.table import CorpusModel, InputRule
from splitc.types import Array, Feeds

COARSE = 6
"""Points a side that smooth numbers are interpolated from."""


def write_samples(model: CorpusModel, path: Path, folder: Path, count: int) -> list[Path]:
    """``count`` files ``NN.npz``, an array for each input."""
    types = input_types(path)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{index:02d}.npz" for index in range(count)]
    for index, file in enumerate(written):
        np.savez(file, **sample(model.inputs, types, index))  # type: ignore[arg-type]
    return written


def sample(rules: Mapping[str, InputRule], types: Mapping[str, np.dtype], seed: int) -> Feeds:
    """Inputs of the network."""
    rng = np.random.default_rng(seed)
    return {name: _filled(rule, rng).astype(types[name]) for name, rule in rules.items()}


def input_types(path: Path) -> dict[str, np.dtype]:
    """Element type of each data input."""
    network = onnx.load(path, load_external_data=False).graph
    held = {tensor.name for tensor in network.initializer}
    return {
        value.name: np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        for value in network.input
        if value.name not in held
    }


def _filled(rule: InputRule, rng: np.random.Generator) -> Array:
    if rule.fill == "constant":
        return np.full(rule.shape, rule.value)
    if rule.fill == "integers":
        return rng.integers(0, rule.high, rule.shape)
    if rule.fill == "smooth":
        return rule.scale * _smooth(rule.shape, rng)
    return rule.scale * rng.standard_normal(rule.shape)


def _smooth(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Numbers in 0..1 that change slowly along every longer axis, and a little noise."""
    coarse = rng.random([min(size, COARSE) for size in shape])
    for axis, size in enumerate(shape):
        if size > COARSE:
            places = np.linspace(0, COARSE - 1, size)
            coarse = np.apply_along_axis(lambda line, at=places: np.interp(at, range(COARSE), line), axis, coarse)
    return np.clip(0.95 * coarse + 0.05 * rng.random(shape), 0, 1)
