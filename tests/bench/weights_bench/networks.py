"""Weights of real networks, and tensors shaped like one that is not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from bench_data import DATA

from splitc import graph, passes
from splitc.weights import WeightTensor

I3D = DATA / "models" / "i3d_kinetics400.onnx"
STAGES = ((64, 64), (64, 128), (128, 256), (256, 512))
SEED = 18


def real_weights(path: Path) -> list[WeightTensor]:
    """Initializers of a model."""
    return passes.weights_of(graph.load(path).ir_model)


def r3d18_shaped() -> list[WeightTensor]:
    """Gaussian tensors of R3D-18's shapes (Tran et al. 2018), 400 classes: 33 M weights."""
    shapes: list[tuple[int, ...]] = [(64, 3, 3, 7, 7)]
    for before, after in STAGES:
        shapes += [(after, before, 3, 3, 3), *[(after, after, 3, 3, 3)] * 3]
        if before != after:
            shapes.append((after, before, 1, 1, 1))
    source = np.random.default_rng(SEED)
    tensors = [_gaussian(source, f"conv{index}", shape) for index, shape in enumerate(shapes)]
    return [*tensors, _gaussian(source, "fc", (400, 512))]


def _gaussian(source: np.random.Generator, name: str, shape: tuple[int, ...]) -> WeightTensor:
    values = source.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return WeightTensor(name, "float32", values.astype(np.float32))
